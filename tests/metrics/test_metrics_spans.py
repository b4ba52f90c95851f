"""Span geometry against sets of characters and scipy's assignment."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from redsm5.datamodules.corpus import Span
from redsm5.metrics.spans import (
    iou,
    matched,
    merge,
    overlap,
    sentences_of,
    shared_length,
    total_length,
    within,
    words_touched,
)

spans = st.builds(lambda start, length: Span(start, start + length), st.integers(0, 40), st.integers(0, 15))
lists = st.lists(spans, max_size=6)


def chars(*many: Span) -> set[int]:
    return {i for s in many for i in range(s.start, s.end)}


def cut(borders: list[int]) -> list[Span]:
    """Sorted borders as disjoint spans, every second stretch left out."""
    return [Span(a, b) for a, b in zip(borders[::2], borders[1::2], strict=False)]


tilings = st.lists(st.integers(0, 60), unique=True, max_size=14).map(lambda b: cut(sorted(b)))


@given(spans, spans)
def test_iou_is_that_of_character_sets_and_symmetric(a, b):
    union = chars(a) | chars(b)
    assert overlap(a, b) == len(chars(a) & chars(b))
    assert iou(a, b) == (len(chars(a) & chars(b)) / len(union) if union else 0.0)
    assert iou(a, b) == iou(b, a)


@given(spans, spans)
def test_within_is_a_nonempty_subset(a, b):
    assert within(a, b) == (bool(chars(a)) and chars(a) <= chars(b))


@given(lists, lists)
def test_merged_spans_are_disjoint_and_keep_the_union(a, b):
    merged_a, merged_b = merge(a), merge(b)
    assert chars(*merged_a) == chars(*a)
    assert all(x.end < y.start for x, y in pairwise(merged_a))
    assert total_length(merged_a) == len(chars(*a))
    assert shared_length(merged_a, merged_b) == len(chars(*a) & chars(*b))


@given(lists, tilings)
def test_words_touched_share_a_character(found, words):
    expected = {i for i, w in enumerate(words) if chars(w) & chars(*found)}
    assert words_touched(found, words) == expected


def sentences_by_sets(span: Span, sentences: list[Span]) -> set[int]:
    shared = [len(chars(span) & chars(s)) for s in sentences]
    chosen = {
        i for i, s in enumerate(sentences) if shared[i] and (shared[i] >= len(chars(s)) / 2 or chars(span) <= chars(s))
    }
    if not chosen and any(shared):
        chosen = {int(np.argmax(shared))}
    return chosen


@given(lists, tilings)
def test_sentences_of_follow_the_written_rule(found, sentences):
    expected = set().union(*(sentences_by_sets(s, sentences) for s in found)) if found else set()
    assert sentences_of(found, sentences) == expected


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        (Span(0, 10), {0}),
        (Span(3, 4), {0}),
        (Span(5, 17), {0, 1}),
        (Span(6, 15), {0}),
        (Span(6, 16), {1}),
        (Span(0, 30), {0, 1, 2}),
        (Span(10, 11), set()),
        (Span(40, 50), set()),
        (Span(12, 12), set()),
    ],
    ids=[
        "whole",
        "a word in it",
        "half of two",
        "less than half of two, tied",
        "less than half of two: the most",
        "all",
        "gap",
        "off",
        "empty",
    ],
)
def test_sentences_of_cases(span, expected):
    assert sentences_of([span], [Span(0, 10), Span(11, 22), Span(23, 30)]) == expected


@given(lists, lists)
def test_matched_is_the_largest_assignment(predicted, gold):
    allowed = np.array([[iou(p, g) >= 0.5 for g in gold] for p in predicted]).reshape(len(predicted), len(gold))
    rows, columns = linear_sum_assignment(allowed, maximize=True)
    assert matched(predicted, gold) == allowed[rows, columns].sum()
    assert matched(predicted, gold) == matched(gold, predicted)


def test_matched_beats_a_greedy_order():
    # the first prediction fits both gold spans, the second only the first of them
    predicted, gold = [Span(0, 10), Span(0, 5)], [Span(0, 8), Span(2, 10)]
    assert [iou(predicted[0], g) >= 0.5 for g in gold] == [True, True]
    assert [iou(predicted[1], g) >= 0.5 for g in gold] == [True, False]
    assert matched(predicted, gold) == 2
