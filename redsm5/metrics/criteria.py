"""Metrics of criteria matching on arrays: F1 from counts, ranking quality, exact match, counts of criteria.

Everything additive is kept as counts, so that a bootstrap is a weighted sum of them (``redsm5.metrics.bootstrap``).
Undefined values are NaN here and None in reports. No torch: the one reason that torchmetrics is not used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from redsm5.metrics.paired import BoolArray, FloatArray

DEFAULT_THRESHOLD = 0.5
"""A criterion is predicted where its probability is at least this; ``val_f1_macro`` is always at 0.5."""


def decide(probabilities: FloatArray, thresholds: ArrayLike = DEFAULT_THRESHOLD) -> BoolArray:
    """Decisions [N, K] from probabilities [N, K]: positive where the probability is at least the threshold."""
    return np.asarray(probabilities >= np.asarray(thresholds, dtype=np.float64))


def counts(labels: NDArray[Any], predictions: NDArray[Any]) -> FloatArray:
    """Per post and criterion: true positive, predicted, gold. Sum over posts for the totals.

    Args:
        labels: 0/1, [N, K].
        predictions: 0/1, [N, K].

    Returns:
        [N, K, 3] of zeros and ones.
    """
    gold, guess = labels.astype(np.float64), predictions.astype(np.float64)
    return np.stack([gold * guess, guess, gold], axis=-1)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> FloatArray:
    """Elementwise quotient, NaN where the denominator is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0))


def precision_recall_f1(totals: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Precision, recall and F1 from counts.

    P = tp / predicted, R = tp / gold, F1 = 2 tp / (predicted + gold). Precision is 0 where nothing was predicted but
    something is gold, recall 0 where nothing is gold but something was predicted; all three are NaN where nothing is
    gold and nothing predicted.

    Args:
        totals: [..., 3], true positives, predicted, gold.

    Returns:
        Three arrays of shape [...].
    """
    tp, predicted, gold = totals[..., 0], totals[..., 1], totals[..., 2]
    f1 = ratio(2 * tp, predicted + gold)
    defined = ~np.isnan(f1)
    precision = np.where(defined & (predicted == 0), 0.0, ratio(tp, predicted))
    recall = np.where(defined & (gold == 0), 0.0, ratio(tp, gold))
    return precision, recall, f1


def macro_f1(totals: FloatArray) -> FloatArray:
    """Mean F1 over the criteria with support (zero where such a one has no true positive); 0.0 where none has.

    Args:
        totals: [..., K, 3], true positives, predicted, gold, summed over posts.

    Returns:
        Shape [...].
    """
    supported = totals[..., 2] > 0
    f1 = np.where(supported, precision_recall_f1(totals)[2], 0.0)
    return np.asarray(f1.sum(-1) / np.maximum(supported.sum(-1), 1))


def micro_f1(totals: FloatArray) -> FloatArray:
    """F1 of the counts summed over all criteria, those without support included; 0.0 where nothing is to be found.

    Args:
        totals: [..., K, 3], as for ``macro_f1``.

    Returns:
        Shape [...].
    """
    return np.nan_to_num(precision_recall_f1(totals.sum(-2))[2])


def weighted_f1(totals: FloatArray) -> FloatArray:
    """Mean F1 over criteria, weighted by support; 0.0 where there is no support.

    Args:
        totals: [..., K, 3], as for ``macro_f1``.

    Returns:
        Shape [...].
    """
    support = totals[..., 2]
    f1 = np.nan_to_num(precision_recall_f1(totals)[2])
    return np.nan_to_num(ratio((f1 * support).sum(-1), support.sum(-1)))


def f1_macro(labels: NDArray[Any], predictions: NDArray[Any]) -> float:
    """Macro F1 over the criteria with support: on decisions at 0.5 this is ``val_f1_macro``.

    Zero for a criterion that has support and no true positive; a criterion without support is left out; 0.0 where no
    criterion has support.

    Args:
        labels: 0/1, [N, K].
        predictions: 0/1, [N, K].
    """
    return float(macro_f1(counts(labels, predictions).sum(0)))


def exact_match(labels: BoolArray, predictions: BoolArray) -> float:
    """Share of posts with every criterion right (subset accuracy)."""
    return float((labels == predictions).all(axis=1).mean())


def auroc(labels: BoolArray, scores: FloatArray) -> float:
    """Area under the ROC curve of one criterion: P(positive scores higher) + P(tie) / 2 (Mann-Whitney U).

    NaN where one of the classes is missing.

    Args:
        labels: [N].
        scores: [N].
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return float("nan")
    _, inverse, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(sizes) - (sizes - 1) / 2
    u = mean_rank[inverse][labels].sum() - positives * (positives + 1) / 2
    return float(u / (positives * negatives))


def average_precision(labels: BoolArray, scores: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """AUPRC of one criterion: the sum over distinct scores of (R_n - R_(n-1)) P_n, without interpolation.

    Posts with tied scores enter together.

    Args:
        labels: [N].
        scores: [N].
        weights: [B, N], how often each post counts in each of B resamples; once each where not given.

    Returns:
        [B] ([1] without weights); NaN where no positive counts.
    """
    if weights is None:
        weights = np.ones((1, len(labels)))
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(scores[order], append=-np.inf))
    ordered = weights[:, order]
    tp = np.cumsum(ordered * labels[order], axis=1)[:, last_of_tie]
    seen = np.cumsum(ordered, axis=1)[:, last_of_tie]
    gained = np.diff(tp, axis=1, prepend=0.0)
    return ratio((gained * np.nan_to_num(ratio(tp, seen))).sum(1), tp[:, -1])


def macro_average_precision(labels: BoolArray, scores: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Mean AUPRC over the criteria with support, per resample; NaN where none has.

    Args:
        labels: [N, K].
        scores: [N, K].
        weights: [B, N] or None, as for ``average_precision``.

    Returns:
        [B].
    """
    per = np.stack([average_precision(labels[:, k], scores[:, k], weights) for k in range(labels.shape[1])])
    return mean_of_defined(per)


def fold_average_precision(
    labels: BoolArray, scores: FloatArray, folds: NDArray[np.int64], weights: FloatArray
) -> FloatArray:
    """Mean AUPRC of scores that each fold has from a model of its own, per resample; NaN where no positive counts.

    Scores of different models are on different scales, and an order of all posts together mixes them (Forman and Scholz
    2010). So each criterion has the mean over the folds in which a positive of it counts.

    Args:
        labels: [N, K].
        scores: [N, K].
        folds: [N], the fold of each post.
        weights: [B, N], as for ``average_precision``.

    Returns:
        [B].
    """
    inside = [folds == fold for fold in np.unique(folds)]
    per = [
        mean_of_defined(np.stack([average_precision(labels[i, k], scores[i, k], weights[:, i]) for i in inside]))
        for k in range(labels.shape[1])
    ]
    return mean_of_defined(np.stack(per))


def mean_of_defined(values: FloatArray) -> FloatArray:
    """The mean over the first axis of what is not NaN; NaN where all are."""
    return ratio(np.nansum(values, axis=0), (~np.isnan(values)).sum(0))


def count_error(labels: BoolArray, predictions: BoolArray) -> float:
    """Mean absolute error of the number of criteria per post."""
    return float(np.abs(labels.sum(1) - predictions.sum(1)).mean())


def count_distribution(decisions: BoolArray) -> tuple[int, ...]:
    """Number of posts with 0, 1, ..., K criteria.

    Args:
        decisions: [N, K], gold or predicted.
    """
    return tuple(int(n) for n in np.bincount(decisions.sum(1), minlength=decisions.shape[1] + 1))
