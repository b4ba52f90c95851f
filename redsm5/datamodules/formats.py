"""Options of ``data.format``: what an example is and what the encoder reads beside the post."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from redsm5.datamodules.streams import PAIR_STREAM

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from redsm5.datamodules.corpus import Criterion
    from redsm5.datamodules.frames import Layout
    from redsm5.datamodules.targets import Targets


@dataclass(frozen=True, slots=True)
class Example:
    """A post with one criterion, or with all of them (-1); ``post`` is its index."""

    post: int
    criterion: int = -1


class Format(ABC):
    """What an example is."""

    @abstractmethod
    def build(self, criteria: Sequence[Criterion], tokenizer: PreTrainedTokenizerFast) -> Layout:
        """How the windows of an example are laid out.

        Args:
            criteria: Of the corpus.
            tokenizer: Of the encoder.
        """

    @abstractmethod
    def examples(self, post: int, n_criteria: int) -> list[Example]:
        """All examples of a post, for evaluation.

        Args:
            post: Its index.
            n_criteria: Criteria of the corpus.
        """

    @abstractmethod
    def training_examples(self, post: int, targets: Targets, seed: int, epoch: int) -> list[Example]:
        """The examples of a post in one epoch; their number is the same in every epoch.

        Args:
            post: Its index.
            targets: What is to be learned from it.
            seed: Of the run.
            epoch: Counted from 0.
        """


@dataclass(frozen=True)
class MultiLabel(Format):
    """An example is a post; it has one output per criterion."""

    titles: bool = False
    """Let the titles of the criteria follow the post in every window."""

    def build(self, criteria: Sequence[Criterion], tokenizer: PreTrainedTokenizerFast) -> Layout:
        """One frame: special tokens, and the titles if asked for."""
        from redsm5.datamodules.frames import Layout, Template

        template = Template(tokenizer)
        joined = "; ".join(criterion.title for criterion in criteria)
        frame = template.followed_by(joined) if self.titles else template.alone()
        return Layout((frame,), False, len(criteria), int(tokenizer.pad_token_id), _typed(tokenizer))

    def examples(self, post: int, n_criteria: int) -> list[Example]:
        """The post."""
        return [Example(post)]

    def training_examples(self, post: int, targets: Targets, seed: int, epoch: int) -> list[Example]:
        """The post."""
        return [Example(post)]


@dataclass(frozen=True)
class BinaryPairs(Format):
    """An example is a criterion's description followed by a post; it has one output."""

    negatives_per_positive: float | None = 3.0
    """In training, how many criteria that do not apply are paired with a post for each that does (a post without any
    counts as one), rounded up; drawn anew in every epoch. null: all."""
    hard_negative_ratio: float = 1.0
    """Share of these places, 0 to 1, that go to criteria an expert has denied, if there are any; the rest is drawn."""

    def __post_init__(self) -> None:
        """Check the value.

        Raises:
            ValueError: It is not a positive number.
        """
        ratio = self.negatives_per_positive
        if ratio is not None and not (ratio > 0 and math.isfinite(ratio)):
            raise ValueError(f"negatives_per_positive is {ratio}; accepted are numbers above 0, or null for all")
        if not 0 <= self.hard_negative_ratio <= 1:
            raise ValueError(f"hard_negative_ratio is {self.hard_negative_ratio}; it must be between 0 and 1")
        if ratio is None and self.hard_negative_ratio != 1:
            raise ValueError(
                f"hard_negative_ratio is {self.hard_negative_ratio}, but negatives_per_positive is null: all negatives "
                "are there, and none is drawn; set negatives_per_positive"
            )

    def build(self, criteria: Sequence[Criterion], tokenizer: PreTrainedTokenizerFast) -> Layout:
        """One frame per criterion: its description before the post."""
        from redsm5.datamodules.frames import Layout, Template

        template = Template(tokenizer)
        frames = tuple(template.preceded_by(criterion.text) for criterion in criteria)
        return Layout(frames, True, 1, int(tokenizer.pad_token_id), _typed(tokenizer))

    def examples(self, post: int, n_criteria: int) -> list[Example]:
        """The post with each criterion."""
        return [Example(post, criterion) for criterion in range(n_criteria)]

    def training_examples(self, post: int, targets: Targets, seed: int, epoch: int) -> list[Example]:
        """The post with each criterion that applies, and with some that do not."""
        positives = np.flatnonzero(targets.labels > 0)
        negatives = np.flatnonzero(targets.labels == 0)
        if self.negatives_per_positive is not None:
            count = min(len(negatives), math.ceil(self.negatives_per_positive * max(1, len(positives))))
            rng = np.random.default_rng((seed, epoch, PAIR_STREAM, post))
            order = rng.permutation(len(negatives)) if self.hard_negative_ratio < 1 else None
            denied_first = np.lexsort((rng.random(len(negatives)), ~targets.denied[negatives]))
            if order is None:
                negatives = negatives[denied_first[:count]]
            else:
                # Places for denied ones first; the others are filled from all that are left, denied or not.
                kept = min(round(self.hard_negative_ratio * count), int(targets.denied[negatives].sum()))
                chosen = denied_first[:kept]
                rest = order[~np.isin(order, chosen)]
                negatives = negatives[np.concatenate([chosen, rest[: count - kept]])]
        return list(_pairs(post, sorted({*positives.tolist(), *negatives.tolist()})))


def _pairs(post: int, criteria: Sequence[int]) -> Iterator[Example]:
    return (Example(post, criterion) for criterion in criteria)


def _typed(tokenizer: PreTrainedTokenizerFast) -> bool:
    return "token_type_ids" in tokenizer.model_input_names
