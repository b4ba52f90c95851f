"""What a run's folder holds that nothing needs any more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redsm5.checkpoints.store import ASIDE, discard
from redsm5.errors import UserError
from redsm5.run.folder import RunFolder
from redsm5.run.lock import LOCK, run_lock


@dataclass(frozen=True)
class Orphan:
    """A file or folder that may go.

    Attributes:
        path: Where it is.
        reason: Why, in words.
        size: Its bytes.
    """

    path: Path
    reason: str
    size: int


def run_folders(root: Path) -> list[RunFolder]:
    """The runs in a folder, at any depth, or the run that it is.

    Raises:
        UserError: There is no such folder.
    """
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; give the folder of a run, or one that holds runs")
    found = []
    for parent, names, _ in os.walk(root):
        run = RunFolder(Path(parent))
        if run.config.is_file() and run.checkpoints.is_dir():
            found.append(run)
            names.remove(run.checkpoints.name)
    return sorted(found, key=lambda run: run.path)


def in_use(run: RunFolder) -> bool:
    """Whether a process is at work in a run's folder."""
    if not (run.path / LOCK).exists():
        return False
    try:
        with run_lock(run.path):
            return False
    except UserError:
        return True


def orphans_of(run: RunFolder) -> list[Orphan]:
    """What may go from a run that no process is at work in.

    The states of a finished run go on to nothing: its weights are apart from them.
    """
    return sorted((Orphan(path, reason, _size(path)) for path, reason in _found(run)), key=lambda o: o.path)


def remove(run: RunFolder, orphans: list[Orphan]) -> int:
    """Remove them, under the lock of their run; returns the bytes that are free then.

    Raises:
        UserError: A process is at work in the folder.
    """
    with run_lock(run.path):
        for orphan in orphans:
            if not orphan.path.is_dir():
                orphan.path.unlink(missing_ok=True)
            elif orphan.path.name.startswith("."):
                shutil.rmtree(orphan.path)
            else:
                discard(orphan.path)
    return sum(orphan.size for orphan in orphans)


def _found(run: RunFolder) -> Iterator[tuple[Path, str]]:
    for path in run.kept.leftovers():
        yield path, "a checkpoint that was never finished"
    for path in run.kept.damaged():
        yield path, "a damaged checkpoint that was set aside"
    if run.is_finished:
        for entry in run.kept.entries("resume"):
            yield entry.path, "the state of a training that has ended"
    for path in run.path.glob(f".*{ASIDE}"):
        yield path, "a file that was never finished"


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
