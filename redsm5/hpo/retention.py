"""What stays on the disk of the trials that have ended.

Validation predictions do, of every trial: they are small, and ensembles and statistics need them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.checkpoints.store import discard

TRIALS, ATTEMPT, REFITS = "trials", "attempt-", "refits"
AFTER = {
    "confirm": "confirm",
    "confirm.json": "confirm",
    "ensemble": "ensemble",
    REFITS: "refits",
    "report.html": "report",
    "search.json": "report",
}
"""In the folder of a study: what is made once the search is over, and is no part of what it takes; with its kind."""


def trial_folder(study: Path, number: int) -> Path:
    """Folder of a trial."""
    return study / TRIALS / f"{number:05d}"


def refit_run(study: Path, number: int) -> Path:
    """Folder of the run of a trial's config that was trained again for an export or an ensemble."""
    return study / REFITS / f"{number:05d}"


def prune_trial(folder: Path, run_dir: Path | None, *, keep_weights: bool) -> None:
    """Remove of a trial that has ended what cannot matter any more; again changes nothing.

    States to go on from always go, and so do the folders of lost attempts; weights and the page that shows posts go
    unless they are to be kept.

    Args:
        folder: Of the trial.
        run_dir: Of the attempt that ended; None where it left none.
        keep_weights: Whether it is among the best.
    """
    for attempt in (*folder.glob(f"{ATTEMPT}*"), *folder.glob(f".{ATTEMPT}*")):  # the latter half copied
        if attempt != run_dir:
            shutil.rmtree(attempt, ignore_errors=True)
    if run_dir is None or not run_dir.is_dir():
        return
    kept = CheckpointFolder(run_dir / "checkpoints")
    if keep_weights:
        with suppress(FileNotFoundError):  # another worker does the same
            for entry in kept.entries("resume"):
                discard(entry.path)
    else:
        shutil.rmtree(kept.path, ignore_errors=True)
        for page in run_dir.glob("view-*.html"):
            page.unlink(missing_ok=True)


def prune_earlier(run_dir: Path) -> None:
    """Remove the checkpoints of the attempts before one that goes on from them, which are as large as its own.

    Args:
        run_dir: Of the attempt that has copied them.
    """
    for path in attempt_folders(run_dir.parent):
        if token_of(path) < token_of(run_dir):
            shutil.rmtree(path / "checkpoints", ignore_errors=True)
    for path in run_dir.parent.glob(f".{ATTEMPT}*"):  # of a worker that was killed while it copied
        if token_of(path) < token_of(run_dir):
            shutil.rmtree(path, ignore_errors=True)


def attempt_folders(folder: Path) -> list[Path]:
    """Folders of the attempts at a trial, the newest first."""
    found = [path for path in folder.glob(f"{ATTEMPT}*") if path.name.removeprefix(ATTEMPT).isdigit()]
    return sorted(found, key=token_of, reverse=True)


def token_of(run_dir: Path) -> int:
    """With which the worker of an attempt held its slot; of a folder that is half copied too."""
    return int(run_dir.name.removeprefix(".").removeprefix(ATTEMPT))


def half_copied(run_dir: Path) -> Path:
    """Where the folder of an attempt lies until it is whole."""
    return run_dir.with_name(f".{run_dir.name}")


def prune_study(study: Path, ended: dict[int, str], best: Collection[int], done: set[int]) -> None:
    """Remove what cannot matter any more of all trials.

    Args:
        study: Folder of the study.
        ended: Folders of the runs of ended trials, from that of the study, by number.
        best: Numbers whose weights stay.
        done: Numbers of which nothing is left to remove: their folders are not looked at; added to.
    """
    for number in ended.keys() - done:
        run = ended[number]
        prune_trial(trial_folder(study, number), study / run if run else None, keep_weights=number in best)
        if number not in best:
            done.add(number)


def search_bytes(study: Path, done: Collection[int] = (), known: dict[int, int] | None = None) -> int:
    """Bytes of the folder of a study, without what was made after the search.

    Args:
        study: Folder of the study.
        done: Numbers of trials whose folders change no more: they are looked at once.
        known: Bytes of these, from call to call; added to.
    """
    known = {} if known is None else known
    for number in done:
        if number not in known:
            known[number] = disk_bytes(trial_folder(study, number))
    others = disk_bytes(study / TRIALS, leave_out={trial_folder(study, number).name for number in known})
    return disk_bytes(study, leave_out={*AFTER, TRIALS}) + others + sum(known.values())


def disk_bytes(folder: Path, leave_out: Collection[str] = ()) -> int:
    """Bytes of all files below a folder; files that go meanwhile do not count.

    Args:
        folder: Of anything.
        leave_out: Names in it, not below, that do not count.
    """
    top = os.fspath(folder)
    total, stack = 0, [top]
    while stack:
        try:
            with os.scandir(where := stack.pop()) as entries:
                for entry in entries:
                    if where == top and entry.name in leave_out:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total
