"""The cache of stages: each is made once, by one process, and shared by all that want it."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redsm5.atomic import sync
from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.checkpoints.space import size_words
from redsm5.errors import UserError
from redsm5.logs import is_further_rank
from redsm5.pretraining.record import RECORD
from redsm5.run.lock import FolderHeld, run_lock

SECONDS_BETWEEN_LOOKS = 1.0
"""How often a process that waits for a stage looks whether it is there."""
SECONDS_BETWEEN_WORDS = 60.0
"""How often it says that it waits: who is heard of no more is taken for stuck."""
YOUNG_SECONDS = 24 * 3600
"""A run that has asked for a stage so lately may not have written its config yet."""
TEXTS = "texts-"
"""Begins the names of folders with tokens."""


@dataclass(frozen=True)
class StageFolder:
    """The folder of a stage: a snapshot per epoch, checkpoints to go on from, metrics, log."""

    path: Path

    def epoch(self, number: int) -> Path:
        """The encoder after so many epochs."""
        return self.path / f"epoch-{number}"

    def has(self, number: int) -> bool:
        """Whether that encoder is there: a folder gets its name when it is whole."""
        return (self.epoch(number) / RECORD).is_file()

    @property
    def kept(self) -> CheckpointFolder:
        """The checkpoints."""
        return CheckpointFolder(self.path / "checkpoints")

    @property
    def metrics(self) -> Path:
        """One row per epoch and metric."""
        return self.path / "metrics.csv"

    @property
    def users(self) -> Path:
        """Runs that stand on the stage."""
        return self.path / "runs.jsonl"

    def used_by(self, run_dir: Path | None = None) -> None:
        """Note that the stage is used now, and by which run."""
        with suppress(FileNotFoundError):
            (self.path / ".used").touch()
            if run_dir is not None:
                with self.users.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"run": str(run_dir.absolute()), "at": time.time()}) + "\n")


def made_once(folder: StageFolder, epochs: int, make: Callable[[], None]) -> Path:
    """The encoder of a stage, made now unless it is there; of several processes one makes it and the others wait.

    They say so again and again while it certainly lives: it may train for many hours.

    Args:
        folder: Of the stage.
        epochs: How many.
        make: Makes the snapshots up to that one.
    """
    next_word = -math.inf
    while not folder.has(epochs):
        if is_further_rank():  # the first rank makes it
            time.sleep(SECONDS_BETWEEN_LOOKS)
            continue
        try:
            with run_lock(folder.path):
                if not folder.has(epochs):
                    make()
                    if not folder.has(epochs):
                        raise RuntimeError(f"the training has ended without {folder.epoch(epochs)}")
        except FolderHeld as held:
            if time.monotonic() >= next_word:
                next_word = time.monotonic() + SECONDS_BETWEEN_WORDS if held.lives else math.inf
                print(f"waiting for a stage that another process makes: {held}", file=sys.stderr, flush=True)
            time.sleep(SECONDS_BETWEEN_LOOKS)
    folder.used_by()
    return folder.epoch(epochs)


@contextmanager
def aside(target: Path) -> Iterator[Path]:
    """A folder to fill, which gets its name when it is whole and flushed; one that is there already stays."""
    made = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    made.mkdir(mode=0o700, parents=True)
    try:
        yield made
        _flush(made)
        with suppress(OSError):
            os.rename(made, target)
        if not target.is_dir():
            raise UserError(f"cannot write {target}; check its folder: there, writable, with room")
        sync(target.parent)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def evict(root: Path, limit_gb: float, keep: Collection[Path]) -> None:
    """Remove what was left half-made, and what was not used for the longest time until the rest fits the limit.

    Stages that a process makes, that a run stands on, or that are to be kept stay, even beyond the limit: then a line
    says so.

    Args:
        root: Of the cache.
        limit_gb: Limit in GB on everything in it.
        keep: Folders of stages in use.
    """
    for path in root.glob(".*.tmp"):  # of processes that were killed
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > YOUNG_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
    entries = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    sizes = {path: _bytes(path) for path in entries}
    over = sum(sizes.values()) - limit_gb * 1e9
    for path in sorted(entries, key=_last_use):
        if over <= 0:
            return
        if path in keep or _stands_below_a_run(path):
            continue
        with suppress(FolderHeld, OSError), run_lock(path):
            gone = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
            os.rename(path, gone)
            shutil.rmtree(gone)
            over -= sizes[path]
    if over > 0:
        print(
            f"the stages in {root} are {size_words(over)} larger than pretraining.cache_gb ({limit_gb:g}): the others "
            "are in use; remove runs that are no longer needed, or raise the limit",
            file=sys.stderr,
            flush=True,
        )


def _stands_below_a_run(path: Path) -> bool:
    with suppress(OSError):
        for line in (path / "runs.jsonl").read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, KeyError, TypeError, OSError):
                user = json.loads(line)
                if time.time() - user["at"] < YOUNG_SECONDS:
                    return True
                if str(path) in Path(user["run"], "config.yaml").read_text(encoding="utf-8"):
                    return True
    return False


def _last_use(path: Path) -> float:
    with suppress(OSError):
        return (path / ".used").stat().st_mtime
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _bytes(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).lstat().st_size
    return total


def _flush(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        sync(path)
