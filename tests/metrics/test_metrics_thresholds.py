"""Thresholds against a search over every cut, and the shape of the shrinkage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score

from redsm5.metrics.records import GoldPost, PredictedPost
from redsm5.metrics.thresholds import best_threshold_logit, fit_threshold, fit_thresholds

cases = st.integers(2, 30).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.bool_, n).filter(lambda a: a.any()),
        hnp.arrays(np.int64, n, elements=st.integers(-8, 8)).map(lambda a: a / 2),
    )
)


@given(cases)
def test_best_threshold_reaches_the_best_f1_of_all_cuts(case):
    labels, logits = case
    best = max(f1_score(labels, logits >= cut) for cut in np.unique(logits))
    assert f1_score(labels, logits >= best_threshold_logit(labels, logits)) == pytest.approx(best)


@pytest.mark.parametrize(
    ("labels", "logits", "expected"),
    [
        ([0, 0, 1, 1], [-2.0, -1.0, 3.0, 4.0], 1.0),
        ([1, 1, 1], [-1.0, 0.0, 2.0], -1.0),
        ([0, 1], [1.0, 1.0], 1.0),
        # cuts at 8 and at 2 both give 2/3; the interval from 0 to 2 is wider than that from 7 to 8
        ([1, 0, 0, 1, 0], [8.0, 7.0, 5.0, 2.0, 0.0], 1.0),
        # 2/3 both at 4 (below it 2) and at 1 (below it -1): as wide, so the one nearer to 0
        ([1, 0, 0, 1, 0], [4.0, 2.0, 1.5, 1.0, -1.0], 0.0),
    ],
    ids=["middle of the gap", "everything positive", "all tied", "widest plateau", "nearest to zero"],
)
def test_best_threshold_cases(labels, logits, expected):
    assert best_threshold_logit(np.array(labels, bool), np.array(logits)) == pytest.approx(expected)


@pytest.mark.parametrize(("positives", "prior"), [(1, 5), (5, 5), (20, 5), (20, 10), (3, 0)])
def test_threshold_shrinks_in_logits_with_few_positives(positives, prior):
    labels = np.array([0] * 30 + [1] * positives, bool)
    logits = np.where(labels, 4.0, 1.0)  # the middle of the gap is 2.5
    fitted = fit_threshold(labels, 1 / (1 + np.exp(-logits)), prior_positives=prior)
    assert np.log(fitted / (1 - fitted)) == pytest.approx(2.5 * positives / (positives + prior))


def test_threshold_without_positives_is_one_half():
    assert fit_threshold(np.zeros(4, bool), np.array([0.1, 0.2, 0.9, 1.0])) == 0.5


@given(cases)
def test_threshold_lies_between_one_half_and_the_unshrunk_one(case):
    labels, logits = case
    probabilities = 1 / (1 + np.exp(-logits))
    shrunk = fit_threshold(labels, probabilities)
    unshrunk = fit_threshold(labels, probabilities, prior_positives=0)
    assert min(0.5, unshrunk) - 1e-12 <= shrunk <= max(0.5, unshrunk) + 1e-12


def test_threshold_of_certain_probabilities_is_finite():
    fitted = fit_threshold(np.array([False, True]), np.array([0.0, 1.0]))
    assert fitted == pytest.approx(0.5)


def test_fit_thresholds_takes_records_in_any_order():
    def post(name: str, labels: tuple[int, ...]) -> GoldPost:
        return GoldPost(name, name, labels, ((), ()), (False, False), ((), ()), ())

    gold = [post("a", (1, 0)), post("b", (0, 0)), post("c", (1, 0))]
    predicted = [PredictedPost(n, p, ((), ())) for n, p in (("c", (0.9, 0.3)), ("a", (0.8, 0.9)), ("b", (0.2, 0.1)))]
    expected = fit_threshold(np.array([True, False, True]), np.array([0.8, 0.2, 0.9]))
    assert fit_thresholds(gold, predicted) == (expected, 0.5)
