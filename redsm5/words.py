"""Words that sentences share."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number and what it counts: 1 seed, 3 seeds."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def best_of(number: int) -> str:
    """The best so many trials, and the verb after them."""
    return "The best trial was" if number == 1 else f"The best {number} trials were"
