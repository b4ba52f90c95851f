"""All settings of the catalog, one after the other, each noted as soon as it is found."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from redsm5.batch_search.calibration import Device, Entry, add_entry, read_calibration
from redsm5.batch_search.grid import Grid, requests
from redsm5.batch_search.limits import GB
from redsm5.batch_search.one import entry_of
from redsm5.batch_search.request import CARD_GB, Budget
from redsm5.batch_search.results import entry_line
from redsm5.batch_search.session import ProbeSession
from redsm5.batch_search.settings import Setting
from redsm5.batch_search.tune import Request
from redsm5.errors import UserError


def calibrate(args: Sequence[str], grid: Grid, budget: Budget, file: Path) -> tuple[list[Entry], list[str]]:
    """Search every setting that the file has not; all of them, and a sentence for each that could not be tried.

    Args:
        args: Config options that all have in common.
        grid: What is combined.
        budget: Memory and mode.
        file: The calibration.

    Raises:
        UserError: The options are not usable, or nothing of the grid is possible.
    """
    wanted = list(requests(args, grid, budget))
    if not wanted:
        raise UserError("no encoder can be trained so; choose other --lengths, --peft or --checkpointing")
    known = _known(wanted[0], budget, file)
    left = [request for request in wanted if request.setting not in known]
    done = f", {len(wanted) - len(left)} of them in {file} already" if len(left) < len(wanted) else ""
    print(f"{len(wanted)} settings{done}", file=sys.stderr, flush=True)
    failed: list[str] = []
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=len(left))
        for number, request in enumerate(left, 1):
            bar.update(task, description=f"{request.setting.encoder} {request.setting.peft}")
            try:
                entry = entry_of(request, lambda _: None)
            except UserError as error:  # one that crashes is no reason to leave the others out
                failed.append(str(error))
                line = str(error)
            else:
                add_entry(file, entry)
                known[request.setting] = entry
                line = entry_line(entry)
            bar.advance(task)
            if not sys.stderr.isatty():
                print(f"[{number}/{len(left)}] {line}", file=sys.stderr, flush=True)
    return [known[request.setting] for request in wanted if request.setting in known], failed


def _known(one: Request, budget: Budget, file: Path) -> dict[Setting, Entry]:
    """What the file has for this device and budget."""
    fake = budget.mode == "fake"
    entries = [entry for entry in read_calibration(file).entries if (entry.method == "fake") == fake]
    if not entries:
        return {}
    device = _device(one, budget)
    # Free memory of a machine goes up and down; what was asked for does not.
    near = 0.0 if fake or budget.memory_gb is not None else 0.1
    return {entry.setting: entry for entry in entries if _alike(entry.device, device, near)}


def _device(one: Request, budget: Budget) -> Device:
    if budget.mode == "fake":
        return Device.here("GPU", budget.memory_gb or CARD_GB, budget.margin)
    with ProbeSession(one.spec) as session:
        ready = session.ready()
    return Device.here(ready.device, round(ready.total / GB, 3), budget.margin)


def _alike(there: Device, here: Device, near: float) -> bool:
    same = there.model_copy(update={"memory_gb": here.memory_gb}) == here
    return same and abs(there.memory_gb / here.memory_gb - 1) <= near
