"""The largest size that fits, from a few readings: predicted first, then tried. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

CLOSE = 0.03
"""A size within this share of the largest that may fit is good enough: each further probe costs as much as the last."""
LARGEST_LEAP = 16
"""A probe is at most this many times the largest that has fitted: two small ones do not carry further."""


@dataclass(frozen=True)
class Tried:
    """One size that was tried: whether it fits, and its peak memory in bytes, where it is known."""

    size: int
    fits: bool
    peak: int | None = None


class TooLarge(Exception):
    """Not even a single one fits."""


@dataclass(frozen=True)
class Line:
    """Peak memory as a function of size: ``start + each * n`` bytes."""

    start: float
    each: float

    @classmethod
    def through(cls, small: Tried, large: Tried) -> Line:
        """The line through two probes of different size that fitted."""
        assert small.peak is not None
        assert large.peak is not None
        each = max((large.peak - small.peak) / (large.size - small.size), 0.0)
        return cls(small.peak - each * small.size, each)

    def largest(self, limit: float) -> float:
        """The size at which the limit is reached."""
        return math.inf if self.each == 0 else (limit - self.start) / self.each


def largest(probe: Callable[[int], Tried], *, limit: int, most: int, second: int = 8) -> Tried:
    """Find the largest size that fits; it has been tried itself.

    Peak memory is a line in the size, so that two small probes say where to try next, and that probe makes the line
    exact. Where the prediction does not fit after all, sizes between are tried.

    Args:
        probe: Tries a size.
        limit: Bytes that the peak must not exceed.
        most: The largest size of interest, at least 1.
        second: Size of the second probe: the first two draw the first line.

    Returns:
        The probe of the largest size that fits, within ``CLOSE`` of the first that may not.

    Raises:
        TooLarge: A single one does not fit.
    """
    first = probe(1)
    if not first.fits:
        raise TooLarge
    fitted, bad, missed = [first], most + 1, 0
    guess = min(second, most)
    while guess > fitted[-1].size:
        tried = probe(guess)
        if tried.fits:
            fitted.append(tried)
        else:
            bad, missed = guess, missed + 1
        guess = _next(fitted, bad, missed, limit)
    return fitted[-1]


def _next(fitted: list[Tried], bad: int, missed: int, limit: int) -> int:
    """The next size to try; that of the last probe that fitted where no better one is in sight."""
    best = fitted[-1].size
    if bad - best <= max(1, CLOSE * best):
        return best
    middle = (best + bad) // 2
    if len(fitted) < 2:
        return max(middle, best + 1)
    predicted = min(Line.through(*fitted[-2:]).largest(limit), LARGEST_LEAP * best, bad - 1)
    if missed and predicted >= bad - 1:
        # The line was too hopeful: step back from where it failed, further every time.
        return max(middle, bad - max(1, round(bad * 0.02 * (1 << missed))))
    return math.floor(predicted) if predicted >= best + max(1, CLOSE * best) else best
