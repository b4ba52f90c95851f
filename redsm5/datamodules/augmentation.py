"""Options of ``data.augmentation``: how the words of evidence sentences are changed in training. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from redsm5.datamodules.word_changes import WordChanger


class Augmentation(ABC):
    """How the words of evidence sentences are changed, anew in every epoch."""

    @abstractmethod
    def build(self) -> WordChanger | None:
        """The changer; None where nothing is changed.

        Raises:
            UserError: A resource that it needs is not there.
        """


@dataclass(frozen=True)
class NoAugmentation(Augmentation):
    """Posts stay as they are."""

    def build(self) -> None:
        """None."""
        return


@dataclass(frozen=True)
class Words:
    """The fields that changes share. No ``Augmentation`` itself, or jsonargparse would offer it as one."""

    probability: float = 0.1
    """Chance of each word of an evidence sentence to be changed, above 0 and at most 1; up to 0.3 is usual"""
    protected: tuple[str, ...] = ()
    """Words that never change, beside negations, first persons and words of symptoms"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if not (math.isfinite(self.probability) and 0 < self.probability <= 1):
            raise ValueError(f"probability is {self.probability}; it must be above 0 and at most 1")


@dataclass(frozen=True)
class Synonyms(Words, Augmentation):
    """Words give way to synonyms; those that have none stay."""

    source: Literal["bundled", "wordnet"] = "bundled"
    """A small list of common words, or WordNet through nltk where both are installed"""

    def build(self) -> WordChanger:
        """The changer."""
        from redsm5.datamodules.synonyms import synonyms_of
        from redsm5.datamodules.word_changes import Replace, WordChanger

        return WordChanger((Replace(synonyms_of(self.source)),), self.probability, self.protected)


@dataclass(frozen=True)
class Deletion(Words, Augmentation):
    """Words are left out; the last of a sentence stays."""

    def build(self) -> WordChanger:
        """The changer."""
        from redsm5.datamodules.word_changes import WordChanger, delete

        return WordChanger((delete,), self.probability, self.protected)


@dataclass(frozen=True)
class Swap(Words, Augmentation):
    """Words change places with the next one."""

    def build(self) -> WordChanger:
        """The changer."""
        from redsm5.datamodules.word_changes import WordChanger, swap

        return WordChanger((swap,), self.probability, self.protected)


@dataclass(frozen=True)
class Typos(Words, Augmentation):
    """A letter is left out, doubled, changed for a neighbour on the keyboard, or changes places with the next."""

    def build(self) -> WordChanger:
        """The changer."""
        from redsm5.datamodules.word_changes import WordChanger, mistype

        return WordChanger((mistype,), self.probability, self.protected)


@dataclass(frozen=True)
class Mixed(Words, Augmentation):
    """One of the four for each word, after Wei and Zou 2019: bundled synonyms, deletion, swap, typos."""

    def build(self) -> WordChanger:
        """The changer."""
        from redsm5.datamodules.synonyms import synonyms_of
        from redsm5.datamodules.word_changes import Replace, WordChanger, delete, mistype, swap

        changes = (Replace(synonyms_of("bundled")), delete, swap, mistype)
        return WordChanger(changes, self.probability, self.protected)
