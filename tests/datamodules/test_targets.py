from __future__ import annotations

import numpy as np
import pytest
from tiny import corpus_of

from redsm5.datamodules.corpus import Annotation, Post, Span
from redsm5.datamodules.targets import no_targets, targets_of, token_span

# one token per character pair: token i is [3i, 3i + 2), a gap between neighbours
OFFSETS = np.array([[3 * i, 3 * i + 2] for i in range(6)], dtype=np.int32)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span(0, 2), (0, 0)),
        (Span(0, 3), (0, 0)),
        (Span(1, 4), (0, 1)),
        (Span(2, 3), None),
        (Span(2, 7), (1, 2)),
        (Span(0, 99), (0, 5)),
        (Span(3, 3), None),
    ],
)
def test_token_span_takes_every_token_that_shares_a_character(span, expected):
    assert token_span(OFFSETS, span) == expected


def test_token_span_ignores_tokens_of_white_space():
    offsets = np.array([[0, 2], [3, 3], [3, 5]], dtype=np.int32)
    assert token_span(offsets, Span(0, 5)) == (0, 2)
    assert token_span(offsets, Span(2, 4)) == (2, 2)


def annotation(code, status, span, index=0):
    kind = "failed" if span is None else "exact"
    return Annotation("p", f"p_{index}", code, status, span, kind, 0.0 if span is None else 100.0)


def targets(*annotations):
    corpus = corpus_of([Post("p", "x" * 18, "p")], list(annotations), codes=("A", "B", "C"))
    return targets_of(corpus, "p", OFFSETS)


def test_targets_hold_labels_and_spans_per_criterion():
    found = targets(annotation("B", 1, Span(0, 5)), annotation("A", 0, Span(6, 8)), annotation("B", 1, Span(9, 11)))
    np.testing.assert_array_equal(found.labels, [0, 1, 0])
    np.testing.assert_array_equal(found.evidence, [[1, 0, 1], [1, 3, 3]])
    np.testing.assert_array_equal(found.hard_negatives, [[0, 2, 2]])
    np.testing.assert_array_equal(found.denied, [True, False, False])
    assert not found.unknown.any()


def test_targets_merge_overlapping_evidence():
    found = targets(annotation("A", 1, Span(0, 5)), annotation("A", 1, Span(4, 8)))
    np.testing.assert_array_equal(found.evidence, [[0, 0, 2]])


def test_targets_keep_touching_sentences_apart():
    found = targets(annotation("A", 1, Span(0, 5)), annotation("A", 1, Span(6, 8)))
    np.testing.assert_array_equal(found.evidence, [[0, 0, 1], [0, 2, 2]])


def test_unaligned_evidence_makes_its_criterion_unknown_and_keeps_the_label():
    found = targets(annotation("A", 1, None), annotation("A", 1, Span(0, 2)), annotation("B", 1, Span(0, 2)))
    np.testing.assert_array_equal(found.labels, [1, 1, 0])
    np.testing.assert_array_equal(found.unknown, [True, False, False])


def test_evidence_without_a_token_makes_its_criterion_unknown():
    found = targets(annotation("A", 1, Span(2, 3)))
    np.testing.assert_array_equal(found.unknown, [True, False, False])
    assert found.evidence.shape == (0, 3)


def test_unaligned_hard_negatives_are_dropped_but_deny():
    found = targets(annotation("C", 0, None))
    assert found.hard_negatives.shape == (0, 3)
    np.testing.assert_array_equal(found.denied, [False, False, True])
    assert not found.unknown.any()


def test_hard_negatives_that_overlap_evidence_of_their_criterion_are_dropped():
    found = targets(
        annotation("A", 1, Span(0, 5)), annotation("A", 0, Span(3, 8)), annotation("B", 0, Span(3, 8), index=1)
    )
    np.testing.assert_array_equal(found.hard_negatives, [[1, 1, 2]])


def test_no_targets_are_unknown():
    nothing = no_targets(4)
    assert nothing.unknown.all()
    assert nothing.evidence.shape == nothing.hard_negatives.shape == (0, 3)
