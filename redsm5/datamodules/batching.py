"""Options of ``data.batching``: how many examples make a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


class Batching(ABC):
    """How examples, sorted by size, are cut into batches."""

    by_windows: bool
    """Whether examples of equal length are sorted by their number of windows before they are cut."""

    @abstractmethod
    def ends(self, windows: IntArray, lengths: IntArray, *, training: bool) -> list[int]:
        """Where each batch ends.

        A function of the sizes alone: in every epoch they are the same in the same order, so every epoch has as many
        batches.

        Args:
            windows: [E], windows of each example, in the order in which they are cut.
            lengths: [E], padded length of its windows in tokens, ascending.
            training: Whether the training limit holds, or that of evaluation.

        Returns:
            Exclusive ends, ascending; the last is E.
        """


@dataclass(frozen=True)
class BatchSize(Batching):
    """A fixed number of examples."""

    train: int = 8
    """Examples per training batch and device: posts in multi_label, (post, criterion) pairs in binary_pairs."""
    eval: int = 16
    """Examples per batch in validation, test and prediction."""

    # Long posts then fall into batches by chance, instead of all into the same ones, which would need the most memory.
    by_windows = False

    def __post_init__(self) -> None:
        """Check the values."""
        _check(train=self.train, eval=self.eval)

    def ends(self, windows: IntArray, lengths: IntArray, *, training: bool) -> list[int]:
        """Equal counts; the last batch has what is left."""
        size, count = self.train if training else self.eval, len(windows)
        return [min(end, count) for end in range(size, count + size, size)]


@dataclass(frozen=True)
class TokenBudget(Batching):
    """As many examples as fit a number of padded tokens: all windows times the longest of them."""

    # Not the names of BatchSize: they count something else.
    train_tokens: int = 4096
    """Padded tokens per training batch and device; an example that is larger is a batch of its own."""
    eval_tokens: int = 16384
    """Padded tokens per batch in validation, test and prediction."""

    by_windows = True

    def __post_init__(self) -> None:
        """Check the values."""
        _check(train_tokens=self.train_tokens, eval_tokens=self.eval_tokens)

    def ends(self, windows: IntArray, lengths: IntArray, *, training: bool) -> list[int]:
        """A batch ends where the next example would exceed the budget."""
        budget, ends, total = self.train_tokens if training else self.eval_tokens, [], 0
        for i, (count, length) in enumerate(zip(windows.tolist(), lengths.tolist(), strict=True)):
            total += count
            # Lengths ascend: the one at hand is the longest of the batch.
            if total * length > budget and total > count:
                ends.append(i)
                total = count
        return [*ends, len(windows)] if len(windows) else []


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; accepted are whole numbers of at least 1")
