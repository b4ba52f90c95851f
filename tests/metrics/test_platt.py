"""Platt scaling."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from redsm5.metrics.calibration import expected_calibration_error
from redsm5.metrics.platt import Platt, fit_platt


def test_platt_of_many_posts_is_logistic_regression():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 5000)
    labels = rng.random(5000) < expit(0.4 * logits - 1)
    reference = LogisticRegression(C=1e9, tol=1e-9).fit(logits[:, None], labels)
    found = fit_platt(labels, expit(logits))
    assert found.slope == pytest.approx(reference.coef_[0, 0], abs=0.01)
    assert found.offset == pytest.approx(reference.intercept_[0], abs=0.01)
    assert expected_calibration_error(labels, found(expit(logits))) < 0.03
    assert expected_calibration_error(labels, expit(logits)) > 0.1


def test_platt_targets_keep_probabilities_of_few_positives_off_the_ends():
    labels = np.array([True] * 3 + [False] * 7)
    found = fit_platt(labels, np.where(labels, 0.9, 0.1))
    # Where every positive scores alike, the best value is the target itself (Platt 1999): 4/5 and 1/9.
    assert found(np.array([0.9, 0.1])) == pytest.approx([4 / 5, 1 / 9], abs=1e-3)


@pytest.mark.parametrize("labels", [[True] * 4, [False] * 4])
def test_platt_of_one_class_changes_nothing(labels):
    found = fit_platt(np.array(labels), np.array([0.1, 0.4, 0.6, 0.9]))
    assert found == Platt()
    assert found(np.array([0.3])) == pytest.approx([0.3])


def test_platt_never_turns_the_order_round():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=200)
    labels = rng.random(200) < expit(-2 * logits)  # worse than chance
    found = fit_platt(labels, expit(logits))
    assert found.slope == 0
    assert found(expit(logits)) == pytest.approx(expit(found.offset))
    assert logit(found(np.array([1.0, 0.0]))) == pytest.approx([found.offset] * 2)
