"""Percentile bootstrap over authors: posts of one author are not independent, so whole authors are resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from redsm5.metrics.paired import FloatArray

LEVEL = 0.95
"""Coverage of the intervals."""


def author_weights(authors: Sequence[str], resamples: int, seed: int) -> FloatArray:
    """How often each post counts in each resample.

    Each resample draws as many authors as there are, with replacement, with all of their posts (the cluster
    bootstrap; Davison and Hinkley 1997, section 3.8).

    Args:
        authors: Author of each of N posts.
        resamples: B.
        seed: The same seed and authors give the same weights.

    Returns:
        [B, N] of whole numbers.
    """
    names, index = np.unique(np.asarray(authors), return_inverse=True)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return drawn[:, index].astype(np.float64)


def percentile_interval(values: FloatArray, level: float = LEVEL) -> tuple[float, float] | None:
    """The central ``level`` of the resampled values (Efron 1979); undefined resamples (NaN) are left out.

    Args:
        values: [B].
        level: Between 0 and 1.

    Returns:
        Lower and upper end, or None where no resample is defined.
    """
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)
