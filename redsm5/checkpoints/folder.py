"""The checkpoints of a run: which are there, which is best, which is the one to go on from."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redsm5.checkpoints.manifest import CheckpointManifest, Kind
from redsm5.checkpoints.store import ASIDE, DamagedCheckpoint, discard, read_manifest, verify

DAMAGED = "damaged-"
"""Begins the name of a checkpoint that was set aside."""
_NAME = re.compile(r"(last|best)-(?P<epoch>\d+)-(?P<step>\d+)(\.(?P<number>\d+))?")
PREFIX: dict[Kind, str] = {"resume": "last", "weights": "best"}


@dataclass(frozen=True)
class Entry:
    """A checkpoint that has a manifest."""

    path: Path
    manifest: CheckpointManifest


@dataclass(frozen=True)
class CheckpointFolder:
    """``checkpoints/`` of a run: folders ``last-<epoch>-<step>`` (all state) and ``best-<epoch>-<step>`` (weights)."""

    path: Path

    def new_path(self, kind: Kind, epoch: int, step: int) -> Path:
        """A name that is free: an epoch that is done again may find that of the first time."""
        name = f"{PREFIX[kind]}-{epoch:03d}-{step:07d}"
        path, number = self.path / name, 2
        while path.exists():
            path, number = self.path / f"{name}.{number}", number + 1
        return path

    def entries(self, kind: Kind, *, skip_damaged: bool = True) -> list[Entry]:
        """Checkpoints of a kind, the oldest step first.

        Args:
            kind: Which.
            skip_damaged: Whether those without a readable manifest are left out.

        Raises:
            DamagedCheckpoint: There is one, and it is not to be left out.
        """
        found = []
        for path in self._named(kind):
            try:
                found.append(Entry(path, read_manifest(path)))
            except DamagedCheckpoint:
                if not skip_damaged:
                    raise
        return found

    def best(self) -> Entry | None:
        """The best weights by their manifests.

        Raises:
            DamagedCheckpoint: Which is best cannot be said.
        """
        ranked = best_first(self.entries("weights", skip_damaged=False))
        return ranked[0] if ranked else None

    def take_last(self) -> tuple[Entry | None, list[str]]:
        """The newest checkpoint that is whole; damaged ones are set aside, with a sentence for each."""
        sentences = []
        for path in reversed(self._named("resume")):
            try:
                manifest = read_manifest(path)
                verify(path, manifest)
            except DamagedCheckpoint as error:
                aside = path.with_name(DAMAGED + path.name)
                if aside.exists():
                    shutil.rmtree(aside)
                path.rename(aside)
                sentences.append(f"{error}; set aside as {aside.name}")
                continue
            return Entry(path, manifest), sentences
        return None, sentences

    def sweep(self) -> None:
        """Remove what writing left behind when the process was killed; only the owner of the run may call this."""
        for path in self.leftovers():
            shutil.rmtree(path)

    def leftovers(self) -> list[Path]:
        """Checkpoints that were never finished."""
        return sorted(path for path in self.path.glob(f".*{ASIDE}") if path.is_dir())

    def is_empty(self) -> bool:
        """Whether there is nothing that was trained, damaged or not."""
        return not (self._named("resume") or self._named("weights") or self.damaged())

    def damaged(self) -> list[Path]:
        """Checkpoints that were set aside."""
        return sorted(self.path.glob(f"{DAMAGED}*"))

    def clear(self) -> None:
        """Remove every checkpoint."""
        for path in [*self._named("resume"), *self._named("weights"), *self.leftovers(), *self.damaged()]:
            discard(path)

    def bytes(self) -> int:
        """Size of everything in it."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())

    def _named(self, kind: Kind) -> list[Path]:
        paths = [path for path in self.path.glob(f"{PREFIX[kind]}-*") if path.is_dir()]
        found = [(match, path) for path in paths if (match := _NAME.fullmatch(path.name))]
        return [path for _, path in sorted(found, key=lambda pair: _order(pair[0]))]


def best_first(entries: Sequence[Entry]) -> list[Entry]:
    """Weights in the order of their rank; of several of an epoch, the one written last is before the others.

    Args:
        entries: In the order in which they were written.
    """
    newest_first = list(reversed(entries))
    return sorted(newest_first, key=lambda entry: entry.manifest.rank)


def _order(name: re.Match[str]) -> tuple[int, int, int]:
    """Step, epoch, and which one it is of several of them."""
    return int(name["step"]), int(name["epoch"]), int(name["number"] or 1)
