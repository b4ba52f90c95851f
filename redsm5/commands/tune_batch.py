"""``redsm5 tune-batch``: the largest batches that fit, for one config or for the encoders of the catalog."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from redsm5.catalog import CATALOG
from redsm5.errors import UserError
from redsm5.shipped import config_or

if TYPE_CHECKING:
    from redsm5.batch_search.grid import Grid
    from redsm5.batch_search.request import Budget

T = TypeVar("T", bound=str)

TAKES_CONFIG = True
DEFAULT_CONFIG = "configs/tune-batch.yaml"
MODES = ("predicted", "power", "binsearch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command beside those of the config."""
    parser.usage = f"{parser.prog} [--config FILE ...] [options of redsm5 fit] [options below]"
    one, all_, both = (parser.add_argument_group(name) for name in ("one config", "the catalog", "both"))
    one.add_argument("--effective", metavar="N", type=int, help="examples per optimizer step: accumulate as needed")
    one.add_argument("--out", metavar="FILE", type=Path, help="write what was found as a config: fit --config FILE")
    all_.add_argument("--all", action="store_true", help="every encoder of the catalog; goes on where it was stopped")
    all_.add_argument("--models", metavar="ID,...", help="these encoders of the catalog")
    all_.add_argument("--lengths", metavar="N,...", help="values of data.max_length (128,256,384,512)")
    all_.add_argument("--precisions", metavar="P,...", help="values of runtime.precision (none,bf16,fp16)")
    all_.add_argument("--checkpointing", choices=("off", "on", "both"), help="gradient checkpointing (both)")
    all_.add_argument("--peft", metavar="NAME,...", help="PEFT methods (all eight, NoPEFT among them)")
    both.add_argument("--mode", choices=MODES, help="which sizes are tried: predicted from small "
                      "ones, or by Lightning's Tuner (default: predicted)")  # fmt: skip
    both.add_argument("--predict", action="store_true", help="count what a GPU would need on fake tensors; try nothing")
    both.add_argument("--memory-gb", metavar="GB", type=float, help="memory to plan for (default: all of the device; "
                      "with --predict 24)")  # fmt: skip
    both.add_argument("--margin", metavar="SHARE", type=float, default=0.05, help="share that stays free (0.05)")
    both.add_argument("--calibration", metavar="FILE", type=Path, help="where it is noted, for fit and hpo "
                      "(default: calibration.json in the cache folder)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Search; returns the exit code.

    Raises:
        UserError: The options are not usable, or not even one example fits.
    """
    _check(args)
    _of("--models", args.models, tuple(CATALOG))  # before seconds of imports
    catalog = args.all or args.models is not None
    config = config_or(DEFAULT_CONFIG, list(args.config))
    from redsm5.batch_search.calibration import default_file
    from redsm5.batch_search.request import Budget

    budget = Budget(args.memory_gb, args.margin, "fake" if args.predict else args.mode or "predicted")
    file = args.calibration or default_file()
    return _catalog(config, _grid(args), budget, file) if catalog else _one(config, args, budget, file)


def _one(config: list[str], args: argparse.Namespace, budget: Budget, file: Path) -> int:
    from redsm5.atomic import write_text_atomically
    from redsm5.batch_search.one import find
    from redsm5.batch_search.results import found_lines

    def tell(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    if not any(arg.split("=")[0] in ("--data.path", "--data.posts") for arg in config):
        print("no data.path is given: posts count as up to 10,000 tokens", file=sys.stderr, flush=True)
    try:
        found = find(config, budget, file, effective=args.effective, tell=tell)
    except KeyboardInterrupt:  # what was tried is not kept: it takes seconds
        print("redsm5: interrupted; nothing is left behind, and the same command searches anew", file=sys.stderr)
        return 130
    for line in found_lines(found.entry, found.shape, found.batches):
        print(line)
    # fit looks in the default file, for entries that were tried, and for how it accumulates itself.
    taken = not args.predict and args.calibration is None and args.effective is None
    print(f"noted in {file};{' fit --tune_batch takes it from there, or' if taken else ''} set it yourself:")
    options = found.batches.options()
    print("  " + " ".join(f"--{key} {value}" for key, value in options.items()))
    if args.out is not None:
        write_text_atomically(args.out, _overlay(options, found.batches.by_tokens))
        print(f"redsm5 fit --config YOURS --config {args.out}")
    return 0


def _catalog(config: list[str], grid: Grid, budget: Budget, file: Path) -> int:
    from redsm5.batch_search.catalog_run import calibrate
    from redsm5.batch_search.results import print_table

    entries, failed = calibrate(config, grid, budget, file)
    print_table(entries)
    print(f"{len(entries)} settings in {file}")
    for sentence in failed:
        print(sentence, file=sys.stderr)
    if failed:
        raise UserError(f"{len(failed)} settings could not be tried; the same command tries them again")
    return 0


def _overlay(options: dict[str, int], by_tokens: bool) -> str:
    import yaml

    nested: dict[str, object] = {"data": {"batching": {"class_path": "TokenBudget" if by_tokens else "BatchSize"}}}
    for key, value in options.items():
        node = nested
        *parents, last = key.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})  # type: ignore[assignment]
        node[last] = value
    return yaml.safe_dump(nested, sort_keys=False)


def _check(args: argparse.Namespace) -> None:
    if args.memory_gb is not None and not 0 < args.memory_gb < math.inf:
        raise UserError(f"--memory-gb is {args.memory_gb:g}; it must be above 0")
    if not 0 <= args.margin < 1:
        raise UserError(f"--margin is {args.margin:g}; it is a share, from 0 to below 1")
    if args.effective is not None and args.effective < 1:
        raise UserError(f"--effective is {args.effective}; it must be at least 1")
    catalog = args.all or args.models is not None
    if catalog and (args.effective is not None or args.out is not None):
        raise UserError("--effective and --out are for one config, --all and --models for the catalog; leave one out")
    given = [name for name in ("lengths", "precisions", "checkpointing", "peft") if getattr(args, name) is not None]
    if args.all and args.models is not None:
        raise UserError("--all is every encoder of the catalog, and --models some of them; leave one out")
    if args.predict and args.mode is not None:
        raise UserError("--mode says which sizes are tried, and --predict tries none; leave one out")
    if not catalog and given:
        raise UserError(f"--{given[0]} is for the catalog; add --all or --models, or set the option of the config")


def _grid(args: argparse.Namespace) -> Grid:
    from redsm5.batch_search.grid import LENGTHS, METHOD_NAMES, PRECISIONS, Grid

    return Grid(
        encoders=_of("--models", args.models, tuple(CATALOG)),
        lengths=tuple(_lengths(args.lengths)) or LENGTHS,
        precisions=_of("--precisions", args.precisions, PRECISIONS),
        checkpointing={"off": (False,), "on": (True,), "both": (False, True)}[args.checkpointing or "both"],
        peft=_of("--peft", args.peft, METHOD_NAMES),
    )


def _lengths(text: str | None) -> list[int]:
    try:
        lengths = [int(part) for part in (text or "").split(",") if part.strip()]
    except ValueError:
        raise UserError(f"--lengths is {text}; it takes whole numbers, separated by commas") from None
    if any(length < 32 for length in lengths):
        raise UserError(f"--lengths is {text}; a window has at least 32 tokens")
    return lengths


def _of(option: str, text: str | None, known: tuple[T, ...]) -> tuple[T, ...]:
    """The chosen ones of what there is, in that order; all where nothing is chosen."""
    if text is None:
        return known
    names = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(names - set(known))
    if unknown:
        close = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]}? " if close else ""
        listed = f"it takes {', '.join(known)}" if len(known) < 12 else "redsm5 models lists them"
        raise UserError(f"{option} has no {unknown[0]}; {hint}{listed}")
    if not names:
        raise UserError(f"{option} is empty; name at least one, or leave it out for all")
    return tuple(name for name in known if name in names)
