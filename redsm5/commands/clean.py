"""``redsm5 clean``: what runs left behind, and its removal."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("runs", help="folder of a run, or one that holds runs at any depth")
    parser.add_argument("--yes", action="store_true", help="remove what is listed; without it nothing is touched")


def run(args: argparse.Namespace) -> int:
    """List or remove; returns the exit code."""
    from redsm5.checkpoints.space import size_words
    from redsm5.run.orphans import in_use, orphans_of, remove, run_folders

    root = Path(args.runs).expanduser()
    count, total = 0, 0
    runs = run_folders(root)
    for folder in runs:
        if in_use(folder):
            print(f"{folder.path}: a process is at work here; left alone")
            continue
        orphans = orphans_of(folder)
        for orphan in orphans:
            print(f"{size_words(orphan.size):>8}  {orphan.path}: {orphan.reason}")
        count, total = count + len(orphans), total + sum(orphan.size for orphan in orphans)
        if args.yes and orphans:
            remove(folder, orphans)
    where = f"{len(runs)} run{'' if len(runs) == 1 else 's'} in {root}"
    if not count:
        print(f"{where}: nothing to remove")
    elif args.yes:
        print(f"{where}: removed {size_words(total)}")
    else:
        print(f"{where}: {size_words(total)} can go; redsm5 clean {root} --yes removes it")
    return 0
