"""Intervals and tests of repeated cross-validation."""

import numpy as np
import pytest
from scipy import stats

from redsm5.confirm.statistics import bootstrap_p, corrected_interval, corrected_p, holm, posts_ratio
from redsm5.datamodules.split import Split


@pytest.mark.parametrize(("repeats", "folds"), [(1, 10), (3, 5), (10, 2)])
def test_corrected_interval_and_p_are_those_of_nadeau_and_bengio(repeats, folds):
    values = np.random.default_rng(0).normal(0.02, 0.05, repeats * folds)
    jobs, ratio = len(values), 1 / (folds - 1)
    # The statistic as Bouckaert and Frank (2004) print it: t = mean / sqrt((1/(kr) + n2/n1) var).
    scale = np.sqrt((1 / jobs + (1 / folds) / (1 - 1 / folds)) * values.var(ddof=1))
    expected = stats.t.interval(0.95, jobs - 1, loc=values.mean(), scale=scale)
    assert corrected_interval(list(values), ratio) == pytest.approx(expected)
    assert corrected_p(list(values), ratio) == pytest.approx(2 * stats.t.cdf(-abs(values.mean()) / scale, jobs - 1))
    plain = stats.t.interval(0.95, jobs - 1, loc=values.mean(), scale=stats.sem(values))
    low, high = corrected_interval(list(values), ratio)
    assert low < plain[0]
    assert plain[1] < high


def test_corrected_p_without_correction_is_the_paired_t_test():
    first, second = np.random.default_rng(1).normal(0.7, 0.05, (2, 15))
    expected = stats.ttest_rel(first, second).pvalue
    assert corrected_p(list(first - second), 0.0) == pytest.approx(expected)
    assert corrected_p(list(first - second), 0.25) > expected


@pytest.mark.parametrize(("differences", "expected"), [([0.0] * 4, 1.0), ([0.1] * 4, 0.0), ([0.1], None), ([], None)])
def test_corrected_p_at_its_ends(differences, expected):
    assert corrected_p(differences, 0.25) == (None if expected is None else pytest.approx(expected, abs=1e-12))


def test_validation_posts_of_a_fold_count_as_neither_tested_nor_trained_on():
    """Of 5 folds with a quarter of the rest validating: 20 tested to 60 trained on, not 1/4."""
    splits = [Split(tuple("t" * 60), tuple("v" * 20), tuple("x" * 20))] * 5
    assert posts_ratio(splits) == pytest.approx(1 / 3)
    other = Split(tuple("t" * 30), tuple("v" * 10), tuple("x" * 60))
    assert posts_ratio([*splits, other]) == pytest.approx((5 * 20 + 60) / (5 * 60 + 30))


@pytest.mark.parametrize(
    ("p_values", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # by hand: .005 x 4, .01 x 3, .03 x 2, then no less
        ([0.5, 0.9], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
    ],
)
def test_holm_multiplies_by_what_is_left(p_values, expected):
    assert holm(p_values) == pytest.approx(expected)


def test_corrected_interval_covers_where_the_plain_one_does_not():
    """Cross-validated means of a noisy mean: folds share training posts, so that plain intervals are too short."""
    rng = np.random.default_rng(0)
    covered = {"corrected": 0, "plain": 0}
    for _ in range(300):
        posts = rng.normal(0, 1, 60)
        values = []
        for _ in range(6):
            for fold in np.array_split(rng.permutation(60), 5):
                values.append(posts[fold].mean())  # its expectation is 0 whatever was trained
        low, high = corrected_interval(values, 1 / 4)
        covered["corrected"] += low <= 0 <= high
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        covered["plain"] += low <= 0 <= high
    assert covered["corrected"] / 300 > 0.9
    assert covered["plain"] / 300 < 0.8


def test_interval_of_one_value_is_none():
    assert corrected_interval([0.5], 0.25) is None


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ([1.0] * 99, 2 / 100),  # never beyond: as small as so many resamples can say
        ([-1.0] * 99, 2 / 100),
        ([0.0] * 99, 1.0),
        ([-1.0] * 4 + [1.0] * 95, 2 * 5 / 100),
        ([-1.0, 1.0] * 50, 1.0),
    ],
)
def test_bootstrap_p_counts_the_smaller_tail_twice(differences, expected):
    assert bootstrap_p(np.array(differences)) == pytest.approx(expected)


def test_bootstrap_p_is_uniform_where_the_models_are_given():
    """Two fixed models, equally good on the population: posts are all that is random, and all that it resamples."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        posts = rng.normal(0, 1, 50)
        found.append(bootstrap_p(posts[rng.integers(0, 50, (400, 50))].mean(1)))
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_equal_ways_of_training_are_told_apart_too_often_by_the_bootstrap_but_not_by_the_t_test():
    """Really trained: least squares on one half of the features or on the other, which are equally good by symmetry.

    Which half does better on 60 posts is the luck of these posts and of what was learned from them; the bootstrap takes
    what was learned as given.
    """
    rng = np.random.default_rng(1)
    posts, folds, seeds, rounds = 60, 5, 3, 300
    rejected = {"t": 0, "bootstrap": 0}
    for _ in range(rounds):
        features = rng.normal(size=(posts, 40))
        truth = features.sum(1) + rng.normal(0, 1, posts)
        apart, pooled = [], np.zeros(posts)
        for _ in range(seeds):
            for fold in np.array_split(rng.permutation(posts), folds):
                train = np.setdiff1d(np.arange(posts), fold)
                losses = []
                for half in (slice(0, 20), slice(20, 40)):
                    weights, *_ = np.linalg.lstsq(features[train, half], truth[train], rcond=None)
                    losses.append((truth[fold] - features[fold, half] @ weights) ** 2)
                apart.append(losses[0].mean() - losses[1].mean())
                pooled[fold] += (losses[0] - losses[1]) / seeds
        rejected["t"] += corrected_p(apart, 1 / 4) < 0.05
        rejected["bootstrap"] += bootstrap_p(pooled[rng.integers(0, posts, (400, posts))].mean(1)) < 0.05
    assert rejected["t"] / rounds < 0.08
    assert rejected["bootstrap"] / rounds > 0.1
    assert rejected["bootstrap"] > 2 * rejected["t"]
