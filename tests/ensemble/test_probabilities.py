"""Weights of models and ranks of probabilities, against scipy and brute force."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import rankdata

from redsm5.ensemble.probabilities import greedy_weights, mixture_weights, pool, rank_points


def log_likelihood(weights, labels, probabilities):
    pooled = np.tensordot(weights, probabilities, axes=1)
    return np.log(np.where(labels, pooled, 1 - pooled)).mean()


@pytest.mark.parametrize("seed", range(4))
def test_mixture_weights_are_the_likeliest_ones(seed):
    rng = np.random.default_rng(seed)
    labels = rng.random((60, 3)) < 0.3
    sharpness = rng.uniform(0.2, 2.0, size=(4, 1, 1))
    probabilities = 1 / (1 + np.exp(-(sharpness * (3 * labels - 2) + rng.normal(0, 1, (4, 60, 3)))))
    found = mixture_weights(labels, probabilities)
    reference = minimize(
        lambda w: -log_likelihood(w, labels, probabilities),
        np.full(4, 0.25),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-12},
    )
    assert found.sum() == pytest.approx(1)
    assert log_likelihood(found, labels, probabilities) == pytest.approx(-reference.fun, abs=1e-7)


def test_mixture_weights_of_a_model_that_is_always_wrong_are_nothing():
    labels = np.array([[True], [False], [True], [False]])
    right = np.where(labels, 0.9, 0.1)
    assert mixture_weights(labels, np.stack([right, 1 - right])).tolist() == [1, 0]


def test_mixture_weights_of_useless_models_are_nothing_and_the_others_are_as_without_them():
    rng = np.random.default_rng(0)
    labels = rng.random((80, 3)) < 0.3
    good = 1 / (1 + np.exp(-(3 * labels - 1.5 + rng.normal(0, 1.2, (2, 80, 3)))))
    useless = rng.random((2, 80, 3))
    found = mixture_weights(labels, np.concatenate([good[:1], useless, good[1:]]))
    assert found[1:3].tolist() == [0, 0]
    assert found[[0, 3]] == pytest.approx(mixture_weights(labels, good))


def test_mixture_weights_stand_a_model_that_is_sure_and_wrong():
    labels = np.array([[True], [False]])
    found = mixture_weights(labels, np.stack([np.array([[0.0], [1.0]]), np.array([[0.6], [0.4]])]))
    assert found == pytest.approx([0, 1], abs=1e-3)


def test_greedy_weights_take_what_is_best_beside_the_others():
    """The best pair of three is found though the best single model is in it once only."""
    target = np.array([0.5, 0.5, 0.0])
    found = greedy_weights(3, lambda w: -float(np.abs(w - target).sum()))
    assert found == pytest.approx(target)


def test_greedy_weights_of_equal_ones_are_the_first_alone():
    assert greedy_weights(3, lambda w: 1.0) == pytest.approx([1, 0, 0])


def test_greedy_weights_come_near_the_best_of_a_grid():
    rng = np.random.default_rng(3)
    labels = rng.random(80) < 0.4
    models = np.clip(labels + rng.normal(0, [[0.8], [0.9], [1.5]], (3, 80)), 0.01, 0.99)

    def score(weights):
        return -float(((weights @ models - labels) ** 2).mean())

    grid = [np.array(w) / 20 for w in product(range(21), repeat=3) if sum(w) == 20]
    assert score(greedy_weights(3, score)) >= max(map(score, grid)) - 1e-4


def test_pool_is_the_weighted_mean():
    probabilities = np.random.default_rng(0).random((3, 5, 2))
    weights = np.array([0.2, 0.5, 0.3])
    assert pool(weights, probabilities) == pytest.approx(np.average(probabilities, axis=0, weights=weights))


@given(st.lists(st.floats(0, 1).map(lambda p: round(p, 2)), min_size=1, max_size=30))
def test_rank_points_are_average_ranks(values):
    probabilities = np.array(values)
    at, ranks = rank_points(probabilities)
    assert np.interp(probabilities, at, ranks) == pytest.approx((rankdata(probabilities) - 0.5) / len(values))
    assert (at[0], at[-1]) == (0, 1)
    assert 0 < ranks[0] <= ranks[-1] < 1
    assert np.all(np.diff(at) > 0)
    assert np.all(np.diff(ranks) > 0)
