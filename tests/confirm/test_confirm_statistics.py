"""Intervals and tests of repeated cross-validation."""

import numpy as np
import pytest
from scipy import stats

from redsm5.confirm.statistics import bootstrap_p, corrected_interval


@pytest.mark.parametrize(("repeats", "folds"), [(1, 10), (3, 5), (10, 2)])
def test_corrected_interval_is_that_of_nadeau_and_bengio(repeats, folds):
    values = np.random.default_rng(0).normal(0.7, 0.05, repeats * folds)
    jobs = len(values)
    # The statistic as Bouckaert and Frank (2004) print it: t = mean / sqrt((1/(kr) + n2/n1) var).
    scale = np.sqrt((1 / jobs + (1 / folds) / (1 - 1 / folds)) * values.var(ddof=1))
    expected = stats.t.interval(0.95, jobs - 1, loc=values.mean(), scale=scale)
    assert corrected_interval(list(values), folds) == pytest.approx(expected)
    plain = stats.t.interval(0.95, jobs - 1, loc=values.mean(), scale=stats.sem(values))
    low, high = corrected_interval(list(values), folds)
    assert low < plain[0]
    assert plain[1] < high


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
        low, high = corrected_interval(values, 5)
        covered["corrected"] += low <= 0 <= high
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        covered["plain"] += low <= 0 <= high
    assert covered["corrected"] / 300 > 0.9
    assert covered["plain"] / 300 < 0.8


def test_interval_of_one_value_is_none():
    assert corrected_interval([0.5], 5) is None


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


def test_bootstrap_p_of_the_same_models_is_uniform():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(200):
        posts = rng.normal(0, 1, 50)
        found.append(bootstrap_p(posts[rng.integers(0, 50, (400, 50))].mean(1)))
    assert stats.kstest(found, "uniform").pvalue > 0.01
