"""Where decisions go wrong: counts per criterion, and what is predicted instead of a missed criterion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redsm5.metrics.paired import BoolArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Outcomes:
    """Posts of one criterion by truth and decision."""

    hits: int
    false_alarms: int
    missed: int
    rest: int
    """Neither gold nor predicted."""


def outcomes(labels: BoolArray, decisions: BoolArray) -> tuple[Outcomes, ...]:
    """True and false positives, false and true negatives per criterion.

    Args:
        labels: [N, K].
        decisions: [N, K].
    """
    return tuple(
        Outcomes(int((y & d).sum()), int((~y & d).sum()), int((y & ~d).sum()), int((~y & ~d).sum()))
        for y, d in zip(labels.T, decisions.T, strict=True)
    )


def substitutions(labels: BoolArray, decisions: BoolArray) -> IntArray:
    """Gold against predicted where both may be many: what is predicted *instead*.

    Cell (i, i) counts the posts with a hit of criterion i. Cell (i, j) counts the posts in which i is missed and j is a
    false alarm. Column K counts the posts in which i is missed and nothing is a false alarm; row K those in which j is
    a false alarm and nothing is missed. A post with two false alarms stands in two cells of a row: rows do not sum up
    to the support. Unlike the multi-label confusion matrix of Heydarian et al. (2022), a criterion that is hit never
    takes the blame for a false alarm elsewhere.

    Args:
        labels: [N, K].
        decisions: [N, K].

    Returns:
        [K + 1, K + 1]; the last cell is 0.
    """
    k = labels.shape[1]
    missed, alarms = labels & ~decisions, ~labels & decisions
    none_missed, no_alarm = ~missed.any(axis=1, keepdims=True), ~alarms.any(axis=1, keepdims=True)
    rows = np.hstack([missed, none_missed]).astype(np.int64)
    columns = np.hstack([alarms, no_alarm]).astype(np.int64)
    cells: IntArray = rows.T @ columns
    cells[range(k), range(k)] = (labels & decisions).sum(axis=0)
    cells[k, k] = 0
    return cells
