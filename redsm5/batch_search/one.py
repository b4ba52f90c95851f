"""The batches of one config: from an earlier search where one holds, else from a search now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from redsm5.batch_search.calibration import Entry, add_entry, read_calibration
from redsm5.batch_search.limits import GB
from redsm5.batch_search.look import shape_of
from redsm5.batch_search.request import Budget, request_of
from redsm5.batch_search.results import too_large
from redsm5.batch_search.session import ProbeCrashed, ProbeSession
from redsm5.batch_search.tune import Request, search
from redsm5.batch_search.units import Batches, Shape, batches
from redsm5.children import ChildDied, Tell, in_child
from redsm5.cli import build_cli
from redsm5.errors import UserError


@dataclass(frozen=True)
class Found:
    """What was found for a config.

    Attributes:
        entry: In windows.
        shape: Of its examples.
        batches: As the config holds them.
    """

    entry: Entry
    shape: Shape
    batches: Batches


def find(
    args: Sequence[str],
    budget: Budget,
    file: Path,
    *,
    effective: int | None = None,
    reuse: bool = False,
    tell: Callable[[str], None] = lambda _: None,
) -> Found:
    """Find the largest batches of a config, and note them in the calibration.

    Args:
        args: Config options, as on the command line.
        budget: Memory and mode.
        file: The calibration.
        effective: Examples per optimizer step, which batches are accumulated for.
        reuse: Whether an entry that holds here is taken instead of a search.
        tell: Is told what is tried.

    Raises:
        UserError: The config is not usable, or not even one example fits.
    """
    read_calibration(file)  # a damaged one is said before the search, not after it
    fake = budget.mode == "fake"
    config = build_cli(list(args), parse_only=True, elsewhere=fake, command="tune-batch").config
    shape = shape_of(tuple(args), config)
    if effective is not None and shape.by_tokens:
        raise UserError("--effective counts examples, and data.batching is TokenBudget; use BatchSize, or leave it out")
    accumulates = config.trainer.accumulate_grad_batches > 1 or effective is not None
    request = request_of(tuple(args), config, shape, budget, accumulates=accumulates)
    earlier = _earlier(request, budget, file) if reuse else None
    if earlier is not None and (chosen := _batches(shape, earlier, effective)) is not None and _is_full(earlier, shape):
        return Found(earlier, shape, chosen)
    entry = entry_of(request, tell)
    add_entry(file, entry)
    chosen = _batches(shape, entry, effective)
    if chosen is None:
        raise UserError(too_large(entry, shape))
    return Found(entry, shape, chosen)


def _is_full(entry: Entry, shape: Shape) -> bool:
    """Whether memory ended the search, or what would end it now: a small corpus may have, long before."""
    full = (entry.peak_gb or 0) >= 0.8 * entry.device.memory_gb * (1 - entry.device.margin)
    return full or (entry.windows or 0) >= shape.most * shape.train


def _batches(shape: Shape, entry: Entry, effective: int | None) -> Batches | None:
    return batches(shape, entry.windows or 0, entry.eval_windows or 0, effective=effective)


def entry_of(request: Request, tell: Callable[[str], None]) -> Entry:
    """Search, on fake tensors in a process of its own too: none is to be left behind in this one.

    Raises:
        UserError: The config is not usable, or the probes crash.
    """
    try:
        if request.mode != "fake":
            return search(request, tell)
        from functools import partial

        outcome = in_child(partial(_in_child, request))
    except (ProbeCrashed, ChildDied) as error:
        raise UserError(f"{request.setting.encoder} cannot be tried: {error}; add --debug to see why") from error
    if isinstance(outcome, UserError):
        raise outcome
    return outcome


def _in_child(request: Request, tell: Tell) -> Entry | UserError:
    try:
        return search(request, tell)
    except UserError as error:
        return error


def _earlier(request: Request, budget: Budget, file: Path) -> Entry | None:
    """An entry of the calibration that holds on this device; it says no less than a search would now."""
    known = read_calibration(file)
    if not any(entry.setting == request.setting for entry in known.entries):
        return None
    with ProbeSession(request.spec) as session:
        ready = session.ready()
    return known.usable(request.setting, ready.device, ready.total / GB, budget.margin)
