"""Going on with a trial whose worker is gone: from the furthest of the checkpoints that its attempts have left."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from redsm5.atomic import sync
from redsm5.checkpoints.folder import CheckpointFolder, Entry
from redsm5.checkpoints.space import disk_fails
from redsm5.hpo.attempts import Kept
from redsm5.hpo.retention import attempt_folders, half_copied, token_of

COPIES = 3
"""Tries to copy the folder of an attempt: a stalled worker may replace a checkpoint in it meanwhile."""
PAUSE = 0.2
"""Seconds between two of them."""


def furthest(folder: Path, run_dir: Path, tell: Callable[[str], None]) -> Kept | None:
    """Go on where an attempt before this one has come furthest, of several the newest one; what its checkpoint holds.

    The newest attempt need not be it: it may have begun on a machine that did not see the others. What cannot be copied
    is not gone on from.

    Args:
        folder: Of the trial.
        run_dir: Of this attempt, which is not there.
        tell: Is told what cannot be copied.

    Returns:
        None where there is no checkpoint.

    Raises:
        OSError: The disk is full or does not work.
    """
    earlier = [path for path in attempt_folders(folder) if path != run_dir]
    known = [(kept, path) for path in earlier if (kept := _tried(path, partial(kept_in, path), tell))]
    for _, path in sorted(known, key=lambda found: found[0], reverse=True):  # stable: the newest first
        if kept := _tried(path, partial(take_over, path, run_dir), tell):
            return replace(kept, token=token_of(path))
    return None


def _tried(path: Path, do: Callable[[], Kept | None], tell: Callable[[str], None]) -> Kept | None:
    for tries in range(COPIES, 0, -1):
        try:
            return do()
        except OSError as error:
            if disk_fails(error):
                raise
            if tries == 1:
                tell(f"{path} cannot be gone on from ({error.strerror or type(error).__name__})")
            time.sleep(PAUSE)
    return None


def kept_in(run_dir: Path) -> Kept | None:
    """What the newest whole checkpoint of an attempt holds; None where there is none to go on from.

    Raises:
        OSError: It cannot be read, or was changed meanwhile.
    """
    last = _last(run_dir)
    return None if last is None else _kept(last)


def take_over(previous: Path, run_dir: Path) -> Kept | None:
    """Copy the folder of an attempt whose worker is gone: a stalled worker may still write into the old one.

    Returns:
        What the newest whole checkpoint holds; None where there is none, and nothing is copied.

    Raises:
        OSError: It cannot be copied, or was changed meanwhile.
    """
    if (last := _last(previous)) is None:
        return None
    copy = half_copied(run_dir)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(previous, copy, ignore=shutil.ignore_patterns(".*", "damaged-*"))
    if not (copied := copy / last.path.relative_to(previous)).exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(copied))
    for path in [*copy.rglob("*"), copy]:
        sync(path)  # what it was copied from goes soon
    copy.rename(run_dir)  # whole, or not there
    sync(run_dir.parent)
    return _kept(last)


def _last(run_dir: Path) -> Entry | None:
    if not (run_dir / "config.yaml").exists():
        return None
    last, _ = CheckpointFolder(run_dir / "checkpoints").take_last()
    return last


def _kept(last: Entry) -> Kept:
    ended = last.manifest.epoch if last.manifest.monitor is not None else last.manifest.epoch - 1
    return Kept(ended, last.manifest.step)
