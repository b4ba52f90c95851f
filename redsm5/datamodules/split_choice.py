"""Which kind of split a run asks for, and the one it gets: from its manifest if there is one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.manifest import load_manifest, save_manifest
from redsm5.datamodules.split import GroupBy, Split, make_folds, make_split, read_split


@dataclass(frozen=True)
class SplitChoice:
    """Settings of the split; see ``ReDSM5DataModule`` for what they mean and ``checks`` for what goes together."""

    file: str | None = None
    fractions: tuple[float, float, float] = (0.7, 0.15, 0.15)
    seed: int = 0
    group_by: GroupBy = "author"
    folds: int | None = None
    fold: int | None = None

    def of(self, corpus: Corpus, manifest: str | None, *, write: bool = True) -> Split:
        """The split of a corpus.

        Args:
            corpus: The corpus.
            manifest: File that holds the split; where it is missing, it is written.
            write: Whether this process may write it.

        Raises:
            UserError: The corpus cannot be split so, or the manifest is for another corpus or other settings.
        """
        if manifest is not None and Path(manifest).exists():
            return load_manifest(manifest, corpus, self.settings())
        split = self._make(corpus)
        if manifest is not None and write:
            save_manifest(manifest, split, corpus, self.settings())
        return split

    def settings(self) -> dict[str, Any]:
        """What decides the split, by key of the config."""
        if self.file is not None:
            return {"split_file": Path(self.file).name}
        own: dict[str, Any] = {"split_seed": self.seed, "group_by": self.group_by}
        if self.folds is not None:
            return {**own, "folds": self.folds, "fold": self.fold}
        return {**own, "fractions": list(self.fractions)}

    def _make(self, corpus: Corpus) -> Split:
        if self.file is not None:
            return read_split(self.file, corpus)
        if self.folds is not None and self.fold is not None:
            return make_folds(corpus, folds=self.folds, fold=self.fold, seed=self.seed, group_by=self.group_by)
        return make_split(corpus, fractions=self.fractions, seed=self.seed, group_by=self.group_by)
