"""Counts of decisions against scikit-learn and against sets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import multilabel_confusion_matrix

from redsm5.metrics.confusion import outcomes, substitutions

matrices = st.tuples(st.integers(1, 25), st.integers(2, 5)).flatmap(
    lambda shape: st.tuples(hnp.arrays(np.bool_, shape), hnp.arrays(np.bool_, shape))
)


@given(matrices)
def test_outcomes_equal_scikit_learn(pair):
    labels, decisions = pair
    expected = multilabel_confusion_matrix(labels, decisions)
    for o, matrix in zip(outcomes(labels, decisions), expected, strict=True):
        assert [[o.rest, o.false_alarms], [o.missed, o.hits]] == matrix.tolist()


@given(matrices)
def test_substitutions_equal_sets(pair):
    labels, decisions = pair
    k = labels.shape[1]
    expected = np.zeros((k + 1, k + 1), dtype=int)
    for y, d in zip(labels, decisions, strict=True):
        gold, predicted = set(np.flatnonzero(y)), set(np.flatnonzero(d))
        missed, alarms = gold - predicted, predicted - gold
        for i in gold & predicted:
            expected[i, i] += 1
        for i in missed or {k}:
            for j in alarms or {k}:
                expected[i, j] += 1
    expected[k, k] = 0
    np.testing.assert_array_equal(substitutions(labels, decisions), expected)


def test_substitutions_by_hand():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], dtype=bool)
    decisions = np.array([[0, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool)
    assert substitutions(labels, decisions).tolist() == [
        [1, 1, 1, 0],  # found once; missed once, where both others were false alarms
        [0, 0, 0, 1],  # missed once, nothing false beside it
        [0, 0, 1, 0],
        [0, 1, 0, 0],  # a false alarm where nothing was missed
    ]
