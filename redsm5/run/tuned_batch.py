"""``fit --tune_batch``: batch sizes are found before anything is built, and end as numbers in the run's config."""

from __future__ import annotations

import sys
from typing import Any

import yaml

from redsm5.cli import build_cli
from redsm5.errors import UserError
from redsm5.logs import is_further_rank
from redsm5.run.folder import RunFolder
from redsm5.run.given import given_sources, merged

KEY = "tune_batch"


def with_batches(args: list[str]) -> list[str]:
    """The arguments of a fit with batch sizes in place of ``tune_batch``: those of the run that goes on, or new ones.

    Args:
        args: Config options, as on the command line.

    Raises:
        UserError: The config is not usable, not even one example fits, or several tasks start at once.
    """
    if merged(given_sources(args)).get(KEY, False) is False:  # without a parse, which takes a quarter of a second
        return args
    config = build_cli(args, parse_only=True).config
    if not config.tune_batch:
        return args
    off = [*args, f"--no_{KEY}"]
    folder = RunFolder.named(config.run_dir)
    # Further ranks of one machine start when the first has written its config.
    if folder.config.exists() and (is_further_rank() or not config.fresh):
        sizes = _sizes_of(folder)
        if sizes and not is_further_rank():
            said = ", ".join(f"{key.rpartition('.')[2]} {size}" for key, size in sizes.items())
            print(
                f"{folder.path} goes on with its batches ({said}); --fresh searches anew", file=sys.stderr, flush=True
            )
        return [*off, *_options(sizes)]
    if is_further_rank():
        raise UserError(
            f"{KEY} searches in one process, and this run has several from its start; run redsm5 tune-batch first, and "
            "set the sizes that it says"
        )
    from redsm5.batch_search.calibration import default_file
    from redsm5.batch_search.one import find
    from redsm5.batch_search.request import Budget
    from redsm5.batch_search.results import found_lines

    def tell(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    found = find(off, Budget(), default_file(), reuse=True, tell=tell)
    for line in found_lines(found.entry, found.shape, found.batches):
        print(line, flush=True)
    return [*off, *_options(found.batches.options())]


def _options(sizes: dict[str, Any]) -> list[str]:
    return [f"--{key}={value}" for key, value in sizes.items()]


def _sizes_of(folder: RunFolder) -> dict[str, Any]:
    """The sizes in the config of a run; a damaged one is for the fit to say."""
    try:
        config = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
        sizes = config["data"]["batching"]["init_args"]
    except (OSError, ValueError, yaml.YAMLError, TypeError, KeyError):
        return {}
    return {f"data.batching.init_args.{name}": value for name, value in sizes.items()}
