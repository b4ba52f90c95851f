"""Spans that models agree on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from redsm5.ensemble.spans import agreed_spans, weighted_median
from redsm5.metrics.records import ScoredSpan
from redsm5.modules.decoding import SpanDecoding

SURE = 20.0


def spans(*triples):
    return [ScoredSpan(*triple) for triple in triples]


CASES = {
    "both say the same": ([spans((10, 20, SURE)), spans((10, 20, SURE))], [(10, 20, True)]),
    "one of two alone is just not enough": ([spans((10, 20, SURE)), []], [(10, 20, False)]),
    "overlapping ones are one span": ([spans((10, 20, SURE)), spans((12, 20, SURE))], [(10, 20, True)]),
    "apart they are two": ([spans((10, 20, SURE)), spans((40, 50, SURE))], [(10, 20, False), (40, 50, False)]),
    "those below null vote little": ([spans((10, 20, SURE)), spans((10, 20, -SURE))], [(10, 20, False)]),
    "nobody says anything": ([[], []], []),
}


@pytest.mark.parametrize("case", CASES)
def test_agreed_spans_are_what_half_of_the_votes_are_for(case):
    candidates, expected = CASES[case]
    found = agreed_spans(candidates, [0.5, 0.5], 0.5, SpanDecoding())
    assert [(span.start, span.end, span.score > 1e-6) for span in found] == expected


def test_agreed_span_has_the_score_of_its_votes():
    (found,) = agreed_spans([spans((0, 10, 1.0)), spans((0, 10, -0.5))], [0.3, 0.7], 0.4, SpanDecoding())
    assert found.score == pytest.approx(logit(0.3 * expit(1.0) + 0.7 * expit(-0.5)) - logit(0.4))


def test_agreed_span_ends_where_most_of_the_votes_end():
    candidates = [spans((10, 30, SURE)), spans((10, 31, SURE)), spans((12, 40, SURE))]
    (found,) = agreed_spans(candidates, [1 / 3] * 3, 0.5, SpanDecoding())
    assert (found.start, found.end) == (10, 31)


def test_agreed_spans_give_a_model_one_vote_for_a_span():
    """Two candidates of one model that overlap by half are no two voices."""
    found = agreed_spans([spans((0, 10, SURE), (0, 15, SURE)), []], [0.5, 0.5], 0.6, SpanDecoding())
    assert all(span.score < 0 for span in found)


SPANS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 30), st.floats(-8, 8)).map(
        lambda t: ScoredSpan(t[0], t[0] + t[1], t[2])
    ),
    max_size=4,
)


@given(st.lists(SPANS, min_size=1, max_size=4), st.floats(0.05, 0.95))
def test_agreed_spans_are_spans_best_first_whatever_the_models_say(candidates, needed):
    weights = np.full(len(candidates), 1 / len(candidates))
    found = agreed_spans(candidates, weights, needed, SpanDecoding(max_spans=3))
    assert len(found) <= 3
    assert [span.score for span in found] == sorted((span.score for span in found), reverse=True)
    assert all(span.start < span.end and np.isfinite(span.score) for span in found)
    starts = {span.start for spans in candidates for span in spans}
    ends = {span.end for spans in candidates for span in spans}
    assert all(span.start in starts and span.end in ends for span in found)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=8))
def test_weighted_median_is_the_median_of_repeated_values(pairs):
    values, weights = zip(*pairs, strict=True)
    repeated = sorted(value for value, weight in pairs for _ in range(weight))
    assert weighted_median(values, weights) == repeated[(len(repeated) - 1) // 2]
