"""``redsm5 export``: a finished run, or the best trial of a study, as a folder that predicts anywhere."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", help="folder of a finished run; or of a study: its confirmed best trial, else its best")
    parser.add_argument("--out", required=True, help="the new folder")
    parser.add_argument(
        "--adapter-only",
        action="store_true",
        help="only what was trained; the base is named by id, revision and hash and must be there to load it",
    )
    parser.add_argument(
        "--confirmed",
        action="store_true",
        help="thresholds and calibrated probabilities from the out-of-fold predictions of redsm5 confirm",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an exported model that is there")


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    from redsm5.run.quiet import quiet_libraries

    quiet_libraries()
    from redsm5.confirm.origin import best_run, is_study, origin_of, run_with_weights, shipped
    from redsm5.inference.export import export
    from redsm5.report.search_card import search_sections

    said: set[str] = set()

    def tell(sentence: str) -> None:
        if sentence not in said:
            print(sentence, file=sys.stderr)
        said.add(sentence)

    given, out = Path(args.run).expanduser(), Path(args.out).expanduser().absolute()
    source = best_run(given, tell) if is_study(given) else run_with_weights(given, tell)
    origin = origin_of(source.resolve(), confirmed=args.confirmed, tell=tell)
    export(
        source,
        out,
        kind="adapter_only" if args.adapter_only else "whole",
        overwrite=args.overwrite,
        search="" if origin is None else search_sections(origin),
        shipped=shipped(origin) if origin is not None and args.confirmed else None,
    )
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"exported model: {args.out} ({size / 1e6:.1f} MB); read its README.md before you pass it on")
    return 0
