import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redsm5.metrics.records import ScoredSpan
from redsm5.modules.decoding import Candidates, SpanDecoding, decode, decode_spans


@st.composite
def scored_spans(draw):
    start = draw(st.integers(0, 30))
    return ScoredSpan(start, start + draw(st.integers(1, 20)), draw(st.sampled_from([-2.0, 0.0, 0.5, 1.0, 3.0])))


SPANS = st.lists(scored_spans(), max_size=25)
DECODINGS = st.builds(SpanDecoding, max_spans=st.integers(1, 5), nms_iou=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))


def iou(a, b):
    """By counting characters."""
    one, two = set(range(a.start, a.end)), set(range(b.start, b.end))
    return len(one & two) / len(one | two)


def nested(a, b):
    """Whether more than half of the shorter is in both."""
    one, two = set(range(a.start, a.end)), set(range(b.start, b.end))
    return len(one & two) > 0.5 * min(len(one), len(two))


def greedy(spans, decoding):
    """Non-maximum suppression by the book, over sets of characters."""
    chosen = []
    for span in sorted(spans, key=lambda s: (-s.score, s.start, s.end - s.start)):
        again = any((span.start, span.end) == (c.start, c.end) for c in chosen)
        if not again and all(iou(span, c) <= decoding.nms_iou and not nested(span, c) for c in chosen):
            chosen.append(span)
    return tuple(chosen[: decoding.max_spans])


@given(SPANS, DECODINGS)
def test_decode_spans_equals_greedy_suppression_over_sets(spans, decoding):
    assert decode_spans(spans, decoding) == greedy(spans, decoding)


@given(SPANS, DECODINGS)
def test_decode_spans_keeps_order_and_distance(spans, decoding):
    chosen = decode_spans(spans, decoding)
    assert len(chosen) <= decoding.max_spans
    assert bool(chosen) == bool(spans)
    assert [s.score for s in chosen] == sorted((s.score for s in chosen), reverse=True)
    assert all(iou(a, b) <= decoding.nms_iou for i, a in enumerate(chosen) for b in chosen[:i])
    assert not spans or chosen[0].score == max(s.score for s in spans)


@given(SPANS, DECODINGS)
def test_decode_spans_is_idempotent(spans, decoding):
    once = decode_spans(spans, decoding)
    assert decode_spans(once, decoding) == once


@given(SPANS, DECODINGS, st.randoms())
def test_decode_spans_does_not_depend_on_the_order_of_candidates(spans, decoding, random):
    shuffled = list(spans)
    random.shuffle(shuffled)
    assert decode_spans(shuffled, decoding) == decode_spans(spans, decoding)


@pytest.mark.parametrize(
    ("spans", "decoding", "expected"),
    [
        ([], SpanDecoding(), []),
        # Two windows see the same span: its best score stays, even where overlaps are allowed.
        ([(0, 9, 1.0), (0, 9, 2.0)], SpanDecoding(nms_iou=1.0), [(0, 9, 2.0)]),
        # 4 of 12 characters shared is a third, and half of the shorter: at the limits both stay, above one of them one.
        ([(0, 8, 2.0), (4, 12, 1.0)], SpanDecoding(nms_iou=1 / 3), [(0, 8, 2.0), (4, 12, 1.0)]),
        ([(0, 8, 2.0), (4, 12, 1.0)], SpanDecoding(nms_iou=0.3), [(0, 8, 2.0)]),
        ([(0, 8, 2.0), (3, 12, 1.0)], SpanDecoding(nms_iou=1.0), [(0, 8, 2.0)]),
        # A part of a better span goes however small its share, and so does what swallows it.
        ([(0, 100, 2.0), (40, 50, 1.0)], SpanDecoding(nms_iou=0.5), [(0, 100, 2.0)]),
        ([(40, 50, 2.0), (0, 100, 1.0)], SpanDecoding(nms_iou=0.5), [(40, 50, 2.0)]),
        # Neighbours share nothing.
        ([(0, 5, 1.0), (5, 9, 2.0)], SpanDecoding(nms_iou=0.0), [(5, 9, 2.0), (0, 5, 1.0)]),
        # What a dropped span would have suppressed stays.
        ([(0, 10, 3.0), (4, 14, 2.0), (8, 18, 1.0)], SpanDecoding(nms_iou=0.2), [(0, 10, 3.0), (8, 18, 1.0)]),
        # Equal scores: the earlier, then the shorter.
        ([(3, 9, 1.0), (0, 2, 1.0), (0, 1, 1.0)], SpanDecoding(max_spans=2), [(0, 1, 1.0), (3, 9, 1.0)]),
        ([(0, 1, -5.0)], SpanDecoding(), [(0, 1, -5.0)]),
        # What does not reach min_score is not there at all: it neither ranks nor suppresses.
        ([(0, 1, -5.0)], SpanDecoding(min_score=0.0), []),
        ([(0, 9, 1.0), (20, 30, 2.0), (40, 50, 0.9)], SpanDecoding(min_score=1.0), [(20, 30, 2.0), (0, 9, 1.0)]),
    ],
)
def test_decode_spans_table(spans, decoding, expected):
    assert decode_spans([ScoredSpan(*s) for s in spans], decoding) == tuple(ScoredSpan(*s) for s in expected)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), scored_spans()), max_size=40), DECODINGS)
def test_decode_treats_examples_and_outputs_apart(rows, decoding):
    candidates = Candidates(
        example=np.array([row[0] for row in rows], dtype=np.int64),
        output=np.array([row[1] for row in rows], dtype=np.int64),
        start=np.array([row[2].start for row in rows], dtype=np.int64),
        end=np.array([row[2].end for row in rows], dtype=np.int64),
        score=np.array([row[2].score for row in rows], dtype=np.float64),
    )
    decoded = decode(candidates, 3, 2, decoding)
    expected = [[greedy([r[2] for r in rows if r[:2] == (e, k)], decoding) for k in range(2)] for e in range(3)]
    assert decoded == expected


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_spans", 0),
        ("max_characters", 0),
        ("nms_iou", -0.1),
        ("nms_iou", 1.1),
        ("min_score", -0.1),
        ("min_score", float("inf")),
    ],
)
def test_span_decoding_refuses(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        SpanDecoding(**{field: value})
