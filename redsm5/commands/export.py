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
    from redsm5.confirm.origin import StudyFiles, is_study, not_of_a_study, shipped, study_of
    from redsm5.inference.export import export
    from redsm5.report.search_card import search_sections

    def tell(sentence: str) -> None:
        print(sentence, file=sys.stderr)

    source, out = Path(args.run).expanduser(), Path(args.out).expanduser().absolute()
    of_study = is_study(source)
    found = (source, None) if of_study else study_of(source.resolve())
    origin = None
    if found is not None:
        study = StudyFiles.read(found[0], tell)
        source = study.best_run(tell) if of_study else study.run_with_weights(source, tell)
        origin = study.origin_of(source, confirmed=args.confirmed, tell=tell)
    elif args.confirmed:
        raise not_of_a_study(source)
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
