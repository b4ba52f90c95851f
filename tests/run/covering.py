"""Rows of choices in which every pair of choices that goes together occurs: a covering array of strength two."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

Row = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]
TRIES = 30
"""Random rows around a pair, of which the one is taken that covers most that no row covers yet."""


def pairs_of(row: Row) -> set[Pair]:
    """The pairs of choices in a row."""
    return set(combinations(row.items(), 2))


def covering_rows(
    factors: Mapping[str, Sequence[str]], refused: Callable[[Row], Any], seed: int = 0
) -> tuple[list[Row], list[Row]]:
    """Rows that cover all pairs that go together, and one row for each pair that never does.

    Args:
        factors: Names of choices by the name of what is chosen.
        refused: Whether a row cannot be.
        seed: Of the random rows.

    Returns:
        Possible rows, those that cover most first; for each pair that was refused among ``TRIES`` others too, the row
        of it and the first choices.
    """
    rng = random.Random(seed)
    left = [((a, x), (b, y)) for a, b in combinations(factors, 2) for x in factors[a] for y in factors[b]]
    rng.shuffle(left)
    open_pairs, possible, impossible = dict.fromkeys(left), [], []
    while open_pairs:
        fixed = dict(next(iter(open_pairs)))
        # The first choices beside the pair: what is refused then is the pair.
        tried = [{name: fixed.get(name, choices[0]) for name, choices in factors.items()}]
        for _ in range(TRIES):
            tried.append({name: fixed.get(name) or rng.choice(choices) for name, choices in factors.items()})
        fitting = [row for row in tried if not refused(row)]
        if not fitting:
            impossible.append(tried[0])
            del open_pairs[next(iter(open_pairs))]
            continue
        best = max(fitting, key=lambda row: len(open_pairs.keys() & pairs_of(row)))
        possible.append(best)
        for pair in pairs_of(best):
            open_pairs.pop(pair, None)
    return possible, impossible
