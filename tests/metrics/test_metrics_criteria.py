"""Criteria metrics against scikit-learn and torchmetrics."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)
from torchmetrics.functional.classification import binary_calibration_error

from redsm5.metrics import criteria as crit
from redsm5.metrics.calibration import brier_score, expected_calibration_error
from redsm5.metrics.published import PUBLISHED, REDSM5_CODES, published_baselines, with_no_symptoms

matrices = st.tuples(st.integers(1, 25), st.integers(1, 5)).flatmap(
    lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape))
)
# few distinct values, so that ties are common
scored = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.bool_, n), hnp.arrays(np.int64, n, elements=st.integers(0, 20)).map(lambda a: a / 20)
    )
)


def sample(seed: int, n: int = 200, k: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random((n, k)) < np.linspace(0.02, 0.4, k)
    probabilities = 1 / (1 + np.exp(-(rng.normal(-1, 1.5, (n, k)) + 2 * labels)))
    return labels, probabilities


def test_importing_the_metrics_imports_no_torch():
    modules = "redsm5.metrics.criteria, redsm5.metrics.epoch, redsm5.metrics.evaluate, redsm5.report.tables"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@given(matrices)
def test_f1_averages_equal_scikit_learn(pair):
    labels, guesses = pair
    totals = crit.counts(labels, guesses).sum(0)
    per = (
        f1_score(labels, guesses, average=None, zero_division=0)
        if labels.shape[1] > 1
        else np.array([f1_score(labels[:, 0], guesses[:, 0], zero_division=0)])
    )
    supported = labels.any(0)
    assert crit.f1_macro(labels, guesses) == pytest.approx(per[supported].mean() if supported.any() else 0.0)
    flat = f1_score(labels.ravel(), guesses.ravel(), zero_division=0)
    assert crit.micro_f1(totals) == pytest.approx(flat)
    support = labels.sum(0)
    assert crit.weighted_f1(totals) == pytest.approx((per * support).sum() / support.sum() if support.sum() else 0.0)
    assert crit.exact_match(labels, guesses) == pytest.approx(accuracy_score(labels, guesses))


def test_precision_recall_f1_equal_scikit_learn():
    labels, probabilities = sample(0)
    guesses = crit.decide(probabilities)
    ours = crit.precision_recall_f1(crit.counts(labels, guesses).sum(0))
    theirs = precision_recall_fscore_support(labels, guesses, zero_division=0)
    for mine, reference in zip(ours, theirs[:3], strict=True):
        np.testing.assert_allclose(mine, reference)


@pytest.mark.parametrize(
    ("tp", "predicted", "gold", "expected"),
    [
        (2, 4, 3, (2 / 4, 2 / 3, 4 / 7)),
        (0, 0, 3, (0.0, 0.0, 0.0)),
        (0, 3, 0, (0.0, 0.0, 0.0)),
        (0, 2, 3, (0.0, 0.0, 0.0)),
        (0, 0, 0, (np.nan, np.nan, np.nan)),
    ],
)
def test_precision_recall_f1_zero_divisions(tp, predicted, gold, expected):
    np.testing.assert_equal(
        [float(v) for v in crit.precision_recall_f1(np.array([tp, predicted, gold], float))], expected
    )


@pytest.mark.parametrize(
    ("labels", "guesses", "expected"),
    [
        ([[1, 0], [0, 0]], [[1, 1], [0, 0]], 1.0),
        ([[1, 1], [0, 0]], [[1, 0], [0, 0]], 0.5),
        ([[0, 0], [0, 0]], [[1, 0], [0, 0]], 0.0),
        ([[1, 0], [1, 0]], [[0, 0], [0, 0]], 0.0),
    ],
    ids=["without support left out", "support without true positive is zero", "no support at all", "nothing predicted"],
)
def test_f1_macro_support(labels, guesses, expected):
    assert crit.f1_macro(np.array(labels, bool), np.array(guesses, bool)) == expected


def test_decide_is_positive_at_the_threshold():
    decided = crit.decide(np.array([[0.5, 0.7], [0.49, 0.69]]), (0.5, 0.7))
    np.testing.assert_array_equal(decided, [[True, True], [False, False]])


@given(scored)
def test_auroc_equals_scikit_learn(pair):
    labels, scores = pair
    ours = crit.auroc(labels, scores)
    if labels.all() or not labels.any():
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(roc_auc_score(labels, scores))


@given(scored)
def test_average_precision_equals_scikit_learn(pair):
    labels, scores = pair
    ours = crit.average_precision(labels, scores)
    assert ours.shape == (1,)
    if not labels.any():
        assert np.isnan(ours[0])
    else:
        assert ours[0] == pytest.approx(average_precision_score(labels, scores))


@given(scored, st.integers(0, 1000))
def test_average_precision_with_weights_equals_repeating_posts(pair, seed):
    labels, scores = pair
    weights = np.random.default_rng(seed).integers(0, 3, (4, len(labels)))
    ours = crit.average_precision(labels, scores, weights.astype(float))
    for b in range(4):
        repeated = np.repeat(labels, weights[b])
        if repeated.any():
            assert ours[b] == pytest.approx(average_precision_score(repeated, np.repeat(scores, weights[b])))
        else:
            assert np.isnan(ours[b])


def test_macro_average_precision_leaves_out_criteria_without_support():
    labels, probabilities = sample(1, k=4)
    labels[:, 2] = False
    expected = np.mean([average_precision_score(labels[:, k], probabilities[:, k]) for k in (0, 1, 3)])
    assert crit.macro_average_precision(labels, probabilities)[0] == pytest.approx(expected)
    assert np.isnan(crit.macro_average_precision(np.zeros_like(labels), probabilities)[0])


@pytest.mark.parametrize("seed", range(3))
def test_calibration_error_equals_torchmetrics(seed):
    labels, probabilities = sample(seed)
    for k in range(labels.shape[1]):
        reference = binary_calibration_error(
            torch.tensor(probabilities[:, k]), torch.tensor(labels[:, k].astype(int)), n_bins=15, norm="l1"
        )
        assert expected_calibration_error(labels[:, k], probabilities[:, k]) == pytest.approx(
            float(reference), abs=1e-9
        )


@pytest.mark.parametrize(
    ("labels", "probabilities", "expected"),
    [([1, 1], [1.0, 1.0], 0.0), ([0, 0], [1.0, 1.0], 1.0), ([0, 1], [0.5, 0.5], 0.0), ([1, 1], [0.999, 1.0], 0.0005)],
    ids=["sure and right", "sure and wrong", "calibrated", "1.0 falls into the last bin"],
)
def test_calibration_error_cases(labels, probabilities, expected):
    assert expected_calibration_error(np.array(labels, bool), np.array(probabilities)) == pytest.approx(expected)


def test_brier_equals_scikit_learn():
    labels, probabilities = sample(3)
    for k in range(labels.shape[1]):
        assert brier_score(labels[:, k], probabilities[:, k]) == pytest.approx(
            brier_score_loss(labels[:, k], probabilities[:, k])
        )


def test_no_symptoms_column_is_true_where_nothing_else_is():
    np.testing.assert_array_equal(
        with_no_symptoms(np.array([[True, False], [False, False]])), [[True, False, False], [False, False, True]]
    )


def test_f1_with_no_symptoms_equals_scikit_learn_over_ten_columns():
    labels, probabilities = sample(4)
    ten, guessed = with_no_symptoms(labels), with_no_symptoms(crit.decide(probabilities))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        macro = f1_score(ten, guessed, average="macro", zero_division=0)
        micro = f1_score(ten, guessed, average="micro", zero_division=0)
    totals = crit.counts(ten, guessed).sum(0)
    assert crit.macro_f1(totals) == pytest.approx(macro)
    assert crit.micro_f1(totals) == pytest.approx(micro)


def test_published_rows_stand_only_beside_the_nine_criteria():
    assert published_baselines(tuple(sorted(REDSM5_CODES))) == PUBLISHED
    assert [(p.name, p.f1_micro, p.f1_macro) for p in PUBLISHED] == [
        ("SVM", 0.39, 0.28),
        ("CNN", 0.25, 0.19),
        ("BERT", 0.51, 0.36),
    ]
    assert published_baselines(("A", "B")) == ()


def test_counts_of_criteria_per_post():
    labels = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
    guesses = np.array([[1, 0, 0], [1, 1, 1], [1, 0, 0]], bool)
    assert crit.count_error(labels, guesses) == pytest.approx((1 + 3 + 0) / 3)
    assert crit.count_distribution(labels) == (1, 1, 1, 0)
    assert crit.count_distribution(guesses) == (0, 2, 0, 1)
