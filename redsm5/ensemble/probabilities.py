"""How the probabilities of several models become one, and what is learned for it from validation posts. Pure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from redsm5.metrics.paired import BoolArray, FloatArray

EPSILON = 1e-7
"""Probabilities are kept this far from 0 and 1: a model that is sure and wrong has no infinite loss."""
STEPS, CONVERGED = 10_000, 1e-10
"""Of the expectation-maximisation: at most so many, and less than this of the mean log-likelihood gained by one."""
LEAST = 1e-3
"""Weight below which a model is left out: the steps shrink a weight by a share of itself, and never reach 0."""
ROUNDS = 50
"""Models that greedy selection takes, the same ones again and again."""


def mixture_weights(labels: BoolArray, probabilities: FloatArray) -> FloatArray:
    """Weights [M] of a linear opinion pool that make the labels likeliest.

    The likelihood of a label is the mean of what the models give it. It is concave in the weights, and the steps of
    expectation-maximisation (Dempster, Laird and Rubin 1977) lead to its maximum: each weight becomes the mean share
    of its model in the likelihoods. Models that come below ``LEAST`` are left out, and the others fitted again.

    Args:
        labels: [N, K].
        probabilities: [M, N, K].
    """
    kept = np.clip(probabilities, EPSILON, 1 - EPSILON)
    given = np.where(labels, kept, 1 - kept).reshape(len(probabilities), -1)
    taken = np.ones(len(given), dtype=np.bool_)
    while True:
        weights = np.zeros(len(given))
        weights[taken] = _likeliest(given[taken])
        if (weights[taken] >= LEAST).all():
            return weights
        taken = weights >= LEAST


def _likeliest(given: FloatArray) -> FloatArray:
    """Weights [M] of models that give labels likelihoods [M, L]."""
    weights = np.full(len(given), 1 / len(given))
    before = -np.inf
    for _ in range(STEPS):
        pooled = weights @ given
        likelihood = float(np.log(pooled).mean())
        if likelihood - before < CONVERGED:
            break
        before = likelihood
        weights = weights * (given / pooled).mean(axis=1)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


def greedy_weights(models: int, score: Callable[[FloatArray], float], rounds: int = ROUNDS) -> FloatArray:
    """Weights [M] by forward selection with replacement (Caruana et al. 2004): how often each model is taken.

    Each round takes the model that is best beside those that were taken before, of equal ones the first; what counts
    is the round with the best score, of equal ones the earliest.

    Args:
        models: M.
        score: Of weights [M] that sum to 1; larger is better.
        rounds: At most.
    """
    counts = np.zeros(models)
    best, chosen = -np.inf, counts
    for size in range(1, rounds + 1):
        tried = [score((counts + np.eye(models)[model]) / size) for model in range(models)]
        taken = int(np.argmax(tried))
        counts = counts + np.eye(models)[taken]
        if tried[taken] > best:
            best, chosen = tried[taken], counts / size
    return chosen


def pool(weights: FloatArray, probabilities: FloatArray) -> FloatArray:
    """The weighted mean [N, K].

    Args:
        weights: [M], they sum to 1.
        probabilities: [M, N, K].
    """
    return np.clip(np.tensordot(weights, probabilities, axes=1), 0.0, 1.0)


def rank_points(probabilities: FloatArray) -> tuple[list[float], list[float]]:
    """The distribution function of a model's probabilities for one criterion, as points to interpolate between.

    Of a value that occurs it is the share below it and half of the share at it. Beyond the values that occur it goes on
    to 0 and 1, half of the way to the ranks 0 and 1: nothing that was not seen is certain.

    Args:
        probabilities: [N], of the validation posts.

    Returns:
        Probabilities, rising from 0 to 1, and their ranks, between 0 and 1.
    """
    values, counts = np.unique(probabilities, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
    low = [] if values[0] == 0 else [0.0]
    high = [] if values[-1] == 1 else [1.0]
    below, above = [ranks[0] / 2] * len(low), [(1 + ranks[-1]) / 2] * len(high)
    return [*low, *values.tolist(), *high], [*below, *ranks.tolist(), *above]
