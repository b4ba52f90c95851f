"""Seeded choices that give the same bytes on every Python version."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Choices built on ``random.Random.random`` alone.

    The standard library promises the same sequence of ``random()`` for the same seed in every version; it does not
    promise it of ``choice``, ``shuffle`` or ``sample``.

    Args:
        seed: Any text; equal texts give equal sequences.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def unit(self) -> float:
        """A number in [0, 1)."""
        return self._random.random()

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.unit() < probability

    def below(self, end: int) -> int:
        """An integer in [0, end)."""
        return int(self.unit() * end)

    def between(self, low: int, high: int) -> int:
        """An integer in [low, high], both ends possible."""
        return low + self.below(high - low + 1)

    def pick(self, items: Sequence[T]) -> T:
        """One item, all equally likely."""
        return items[self.below(len(items))]

    def weighted(self, items: Sequence[T], weights: Sequence[float]) -> T:
        """One item, likely in proportion to its weight."""
        left = self.unit() * sum(weights)
        for item, weight in zip(items, weights, strict=True):
            left -= weight
            if left < 0:
                return item
        return items[-1]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """A copy in random order (Fisher-Yates)."""
        result = list(items)
        for last in range(len(result) - 1, 0, -1):
            other = self.below(last + 1)
            result[last], result[other] = result[other], result[last]
        return result

    def rounded(self, value: float) -> int:
        """A whole number next to ``value`` whose expectation is ``value``."""
        whole = int(value)
        return whole + self.chance(value - whole)
