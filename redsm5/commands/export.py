"""``redsm5 export``: a finished run as a folder that predicts anywhere."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", help="folder of a finished run")
    parser.add_argument("--out", required=True, help="the new folder")
    parser.add_argument(
        "--adapter-only",
        action="store_true",
        help="only what was trained; the base is named by id, revision and hash and must be there to load it",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an exported model that is there")


def run(args: argparse.Namespace) -> int:
    """Export; returns the exit code."""
    from redsm5.run.quiet import quiet_libraries

    quiet_libraries()
    from redsm5.inference.export import export

    out = Path(args.out).expanduser().absolute()
    export(args.run, out, kind="adapter_only" if args.adapter_only else "whole", overwrite=args.overwrite)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"exported model: {args.out} ({size / 1e6:.1f} MB); read its README.md before you pass it on")
    return 0
