import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import KEYWORDS, corpus_of

from redsm5.datamodules.corpus import Annotation, Corpus, Criterion, Post, Span
from redsm5.datamodules.gold import gold_post, merge_spans

TEXT = "I am sad. I can't sleep. Food is dull."


def corpus(*annotations: Annotation) -> Corpus:
    criteria = (Criterion("A", "a", "a"), Criterion("B", "b", "b"))
    return Corpus((Post("p", TEXT, "w"), Post("q", "x", "w")), annotations, criteria, "", "")


def note(criterion: str, status: int, span: Span | None) -> Annotation:
    return Annotation("p", "p_0", criterion, status, span, "exact" if span else "failed", 100.0 if span else 30.0)


def test_gold_post_holds_labels_evidence_and_sentences():
    gold = gold_post(
        corpus(
            note("A", 1, Span(10, 24)),
            note("A", 1, Span(0, 9)),
            note("A", 1, Span(5, 12)),
            note("A", 0, Span(25, 38)),
            note("A", 0, Span(25, 38)),
            note("B", 1, None),
        ),
        "p",
    )
    assert (gold.post_id, gold.author, gold.labels) == ("p", "w", (1, 1))
    assert gold.evidence == ((Span(0, 24),), ())
    assert gold.unaligned == (False, True)
    assert gold.hard_negatives == ((Span(25, 38),), ())
    assert gold.sentences == (Span(0, 9), Span(10, 24), Span(25, 38))
    assert [TEXT[word.start : word.end] for word in gold.words] == re.findall(r"\w+", TEXT)


def test_gold_post_of_a_failed_hard_negative_is_not_unaligned():
    gold = gold_post(corpus(note("A", 0, None)), "p")
    assert (gold.labels, gold.unaligned) == ((0, 0), (False, False))


def test_gold_post_of_a_post_without_annotations_is_empty():
    gold = gold_post(corpus(), "q")
    assert (gold.labels, gold.evidence, gold.hard_negatives) == ((0, 0), ((), ()), ((), ()))
    with pytest.raises(KeyError):
        gold_post(corpus(), "r")


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=12))
def test_merge_spans_keeps_the_characters_and_no_overlap(pairs):
    spans = [Span(start, start + length) for start, length in pairs]
    merged = merge_spans(spans)
    characters = {i for span in spans for i in range(span.start, span.end)}
    assert {i for span in merged for i in range(span.start, span.end)} == characters
    assert all(a.end <= b.start for a, b in pairwise(merged))
    # Spans that only touch stay apart: every border of a merged span is a border of a given one.
    assert {span.start for span in merged} <= {span.start for span in spans}


def test_gold_post_drops_hard_negatives_that_overlap_evidence_of_their_criterion():
    text = "I cannot sleep at all, ever since March. It rained."
    spans = {1: Span(0, 40), 0: Span(0, 39)}
    annotations = [Annotation("p", f"p_{s}", "SLEEP_ISSUES", s, span, "exact", 100.0) for s, span in spans.items()]
    annotations += [
        Annotation("p", "p_2", "SLEEP_ISSUES", 0, Span(41, 51), "exact", 100.0),
        Annotation("p", "p_3", "FATIGUE", 0, Span(0, 39), "exact", 100.0),
    ]
    gold = gold_post(corpus_of([Post("p", text, "p")], annotations), "p")
    codes = list(KEYWORDS)
    assert gold.hard_negatives[codes.index("SLEEP_ISSUES")] == (Span(41, 51),)
    assert gold.hard_negatives[codes.index("FATIGUE")] == (Span(0, 39),)
