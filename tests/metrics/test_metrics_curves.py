"""Curves against scikit-learn."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, precision_recall_curve

from redsm5.metrics.calibration import expected_calibration_error
from redsm5.metrics.curves import precision_recall, reliability

# few distinct values, so that ties are common
scored = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.bool_, n), hnp.arrays(np.int64, n, elements=st.integers(0, 20)).map(lambda a: a / 20)
    )
)


@given(scored)
def test_precision_recall_equals_scikit_learn(pair):
    labels, probabilities = pair
    curve = precision_recall(labels, probabilities)
    if not labels.any():
        assert curve is None
        return
    precision, recall, thresholds = precision_recall_curve(labels, probabilities)
    # theirs rises with the threshold and ends with an added point at recall 0
    np.testing.assert_allclose(curve.precision, precision[:-1][::-1])
    np.testing.assert_allclose(curve.recall, recall[:-1][::-1])
    np.testing.assert_allclose(curve.thresholds, thresholds[::-1])
    assert curve.prevalence == pytest.approx(labels.mean())


@given(scored)
def test_precision_recall_area_under_the_steps_is_the_average_precision(pair):
    labels, probabilities = pair
    curve = precision_recall(labels, probabilities)
    if curve is not None:
        area = np.sum(np.diff(curve.recall, prepend=0) * curve.precision)
        assert area == pytest.approx(average_precision_score(labels, probabilities))


def test_precision_at_is_the_best_with_at_least_this_recall():
    labels = np.array([True, False, True, False])
    curve = precision_recall(labels, np.array([0.9, 0.8, 0.7, 0.1]))
    assert [curve.precision_at(r) for r in (0.1, 0.5, 0.6, 1.0)] == pytest.approx([1, 1, 2 / 3, 2 / 3])


@pytest.mark.parametrize("bins", [5, 15])
@pytest.mark.parametrize("seed", range(4))
def test_reliability_equals_scikit_learn(bins, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.random(200) ** 2
    labels = rng.random(200) < probabilities
    found = reliability(labels, probabilities, bins)
    share, mean = calibration_curve(labels, probabilities, n_bins=bins, strategy="uniform")
    np.testing.assert_allclose([b.positive_share for b in found], share)
    np.testing.assert_allclose([b.mean_probability for b in found], mean)
    counts, _ = np.histogram(probabilities, bins=bins, range=(0, 1))
    assert [b.count for b in found] == [n for n in counts if n]


@given(scored)
def test_reliability_gaps_add_up_to_the_expected_calibration_error(pair):
    labels, probabilities = pair
    found = reliability(labels, probabilities)
    gaps = sum(abs(b.mean_probability - b.positive_share) * b.count for b in found) / len(labels)
    assert gaps == pytest.approx(expected_calibration_error(labels, probabilities))
    assert all(b.low - 1e-9 <= b.mean_probability <= b.high + 1e-9 for b in found)
    assert sum(b.count for b in found) == len(labels)


def test_curves_of_one_post_warn_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = np.array([True])
        assert precision_recall(one, np.array([1.0])).recall.tolist() == [1.0]
        assert reliability(one, np.array([1.0]))[0].high == 1.0
