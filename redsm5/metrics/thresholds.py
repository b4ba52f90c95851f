"""Decision thresholds, one per criterion, tuned on the validation part only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from redsm5.metrics.paired import BoolArray, FloatArray, pair_up
from redsm5.metrics.records import GoldPost, PredictedPost

Thresholds: TypeAlias = tuple[float, ...]
"""One probability per criterion, in the order of ``Corpus.codes``: positive at or above it."""

PRIOR_POSITIVES = 5.0
"""Positives at which a threshold goes half of the way (in logits) from 0.5 to the best one.

On simulated classes with 5 to 40 positives in 170 posts, 5 was within .012 of the best of 0, 2, 5, 10 and 20 for
calibrated, over- and underconfident and inflated probabilities; 10 lost up to .06 more where they are too low.
"""

_CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1, so that logits are finite."""

_TIE = 1e-12
"""F1 values closer than this are the same."""


def fit_thresholds(
    gold: Sequence[GoldPost], predicted: Sequence[PredictedPost], *, prior_positives: float = PRIOR_POSITIVES
) -> Thresholds:
    """Tune one threshold per criterion for F1.

    The best threshold is looked for in logit space and then shrunk toward 0.5 by n / (n + ``prior_positives``) where n
    is the number of positives, since the F1 of few positives says little: none leaves 0.5.

    Args:
        gold: Posts of the validation part, never of the test part.
        predicted: A prediction for each.
        prior_positives: Strength of the pull to 0.5, in positives; 0 for none.

    Raises:
        ValueError: As ``pair_up``.
    """
    paired = pair_up(gold, predicted)
    return tuple(
        fit_threshold(paired.labels[:, k], paired.probabilities[:, k], prior_positives=prior_positives)
        for k in range(paired.labels.shape[1])
    )


def fit_threshold(labels: BoolArray, probabilities: FloatArray, *, prior_positives: float = PRIOR_POSITIVES) -> float:
    """The shrunk threshold of one criterion, as a probability.

    Args:
        labels: [N].
        probabilities: [N].
        prior_positives: As for ``fit_thresholds``.
    """
    positives = int(labels.sum())
    if not positives:
        return 0.5
    clipped = np.clip(probabilities, _CLIP, 1 - _CLIP)
    best = best_threshold_logit(labels, np.log(clipped) - np.log1p(-clipped))
    return float(1 / (1 + np.exp(-best * positives / (positives + prior_positives))))


def best_threshold_logit(labels: BoolArray, logits: FloatArray) -> float:
    """The middle of the best plateau of F1 as a function of the threshold.

    F1 is constant between neighbouring distinct logits; a plateau is a run of such intervals with the highest F1, from
    the highest logit below it (the lowest of all, where everything is predicted) to its lowest predicted logit. Of
    several, the widest counts, then the one nearest to 0: the threshold least sensitive to noise in the logits.

    Args:
        labels: [N], at least one positive.
        logits: [N].
    """
    upper, inverse = np.unique(logits, return_inverse=True)
    predicted = np.cumsum(np.bincount(inverse)[::-1])[::-1]
    tp = np.cumsum(np.bincount(inverse, weights=labels)[::-1])[::-1]
    f1 = 2 * tp / (predicted + labels.sum())
    best = f1 >= f1.max() - _TIE
    lower = np.concatenate([upper[:1], upper[:-1]])
    borders = np.flatnonzero(np.diff(best.astype(int), prepend=0, append=0))
    plateaus = [(lower[first], upper[stop - 1]) for first, stop in zip(borders[::2], borders[1::2], strict=True)]
    low, high = max(plateaus, key=lambda p: (p[1] - p[0], -abs(p[0] + p[1])))
    return float((low + high) / 2)


def threshold_of(value: object) -> float:
    """A threshold as it was read from a file.

    Raises:
        ValueError: It is no number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"a threshold is {value!r}; it must be a number from 0 to 1")
    return float(value)
