"""Evidence binding as additive counts per (post, criterion), and the metrics that are ratios of them.

Two views: *given the gold criteria* asks how well spans are found where evidence is known to be, whatever the
probability; *end to end* takes the spans of the criteria that the model predicts, so that a missed criterion misses its
evidence and a false one adds false spans. A pair with evidence that failed to align is in neither.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import product

import numpy as np

from redsm5.datamodules.corpus import Span
from redsm5.metrics.criteria import precision_recall_f1, ratio
from redsm5.metrics.paired import BoolArray, FloatArray, Paired
from redsm5.metrics.records import GoldPost, ScoredSpan
from redsm5.metrics.spans import (
    IOU_MATCH,
    SpanLike,
    iou,
    matched,
    merge,
    sentences_of,
    shared_length,
    total_length,
    within,
    words_touched,
)

SPAN_THRESHOLD = 0.0
"""A candidate is a predicted span where its score is above this: it beats null."""


class Sum(IntEnum):
    """What is counted per pair; triples are true positive, predicted, gold."""

    BOUND_OR_GOLD = 0
    EXACT = 1
    TOKEN_TP = 2
    TOKEN_PREDICTED = 3
    TOKEN_GOLD = 4
    CHAR_TP = 5
    CHAR_PREDICTED = 6
    CHAR_GOLD = 7
    SPAN_TP = 8
    SPAN_PREDICTED = 9
    SPAN_GOLD = 10
    SENTENCE_TP = 11
    SENTENCE_PREDICTED = 12
    SENTENCE_GOLD = 13
    GOLD = 14
    HIT_FIRST = 15
    RECIPROCAL_RANK = 16
    EMPTY = 17
    EMPTY_RIGHT = 18
    HARD = 19
    HARD_TAKEN = 20


def hits(candidate: SpanLike, gold: tuple[Span, ...], sentences: tuple[Span, ...]) -> bool:
    """Whether a candidate finds evidence: IoU of at least 0.5 with a gold span, or wholly in a sentence of one.

    Args:
        candidate: A predicted span.
        gold: Gold spans of the pair.
        sentences: All sentences of the post, sorted.
    """
    if any(iou(candidate, g) >= IOU_MATCH for g in gold):
        return True
    return any(within(candidate, sentences[i]) for i in sentences_of(gold, sentences))


def bound_spans(candidates: tuple[ScoredSpan, ...], span_threshold: float = SPAN_THRESHOLD) -> tuple[ScoredSpan, ...]:
    """The candidates that beat null, in their order."""
    return tuple(c for c in candidates if c.score > span_threshold)


def given_gold(paired: Paired, span_threshold: float = SPAN_THRESHOLD) -> FloatArray:
    """Counts given the gold criteria.

    Span metrics count pairs with label 1 and aligned evidence; hit@1 and MRR rank all candidates, null or not. Null
    accuracy counts pairs with label 0, the false positive rate every hard negative, whatever the probability.

    Args:
        paired: N posts with K criteria.
        span_threshold: A candidate is predicted where its score is above this.

    Returns:
        [N, K, len(Sum)].
    """
    sums = np.zeros((*paired.labels.shape, len(Sum)))
    for n, k in product(*map(range, paired.labels.shape)):
        post, candidates = paired.gold[n], paired.predicted[n].candidates[k]
        if not scorable(post, k):
            continue
        bound = bound_spans(candidates, span_threshold)
        if post.labels[k]:
            _count_spans(sums[n, k], post, k, bound)
            _count_ranks(sums[n, k], post, k, candidates)
        _count_absence(sums[n, k], post, k, bound)
    return sums


def end_to_end(paired: Paired, decisions: BoolArray, span_threshold: float = SPAN_THRESHOLD) -> FloatArray:
    """Counts of what a user gets: the predicted spans of the predicted criteria, all others missed.

    Span metrics count every pair with gold or predicted spans; hit@1 and MRR are over the pairs with gold evidence
    and rank the predicted spans only.

    Args:
        paired: N posts with K criteria.
        decisions: [N, K], the predicted criteria.
        span_threshold: A candidate is predicted where its score is above this.

    Returns:
        [N, K, len(Sum)].
    """
    sums = np.zeros((*paired.labels.shape, len(Sum)))
    for n, k in product(*map(range, paired.labels.shape)):
        post = paired.gold[n]
        if not scorable(post, k):
            continue
        bound = bound_spans(paired.predicted[n].candidates[k], span_threshold) if decisions[n, k] else ()
        if post.labels[k]:
            _count_ranks(sums[n, k], post, k, bound)
        if post.labels[k] or bound:
            _count_spans(sums[n, k], post, k, bound)
        _count_absence(sums[n, k], post, k, bound)
    return sums


def scorable(post: GoldPost, k: int) -> bool:
    """Whether the evidence of a pair is fully known: no label, or a label with evidence that all aligned."""
    return not post.unaligned[k] and bool(post.evidence[k]) == bool(post.labels[k])


def evidence_scores(totals: FloatArray) -> dict[str, FloatArray]:
    """Every evidence metric from summed counts; NaN where there is nothing to score.

    Args:
        totals: [..., len(Sum)], counts summed over posts and criteria.

    Returns:
        Arrays of shape [...] by the field names of ``EvidenceScores``.
    """

    def share(top: Sum, bottom: Sum) -> FloatArray:
        return ratio(totals[..., top], totals[..., bottom])

    def triple(first: Sum) -> tuple[FloatArray, FloatArray, FloatArray]:
        return precision_recall_f1(totals[..., first : first + 3])

    scores = {"exact_match": share(Sum.EXACT, Sum.BOUND_OR_GOLD)}
    for name, first in (
        ("token", Sum.TOKEN_TP),
        ("char", Sum.CHAR_TP),
        ("iou", Sum.SPAN_TP),
        ("sentence", Sum.SENTENCE_TP),
    ):
        scores[f"{name}_precision"], scores[f"{name}_recall"], scores[f"{name}_f1"] = triple(first)
    scores["hit_at_1"] = share(Sum.HIT_FIRST, Sum.GOLD)
    scores["mrr"] = share(Sum.RECIPROCAL_RANK, Sum.GOLD)
    scores["null_accuracy"] = share(Sum.EMPTY_RIGHT, Sum.EMPTY)
    scores["hard_negative_rate"] = share(Sum.HARD_TAKEN, Sum.HARD)
    return scores


def _count_spans(row: FloatArray, post: GoldPost, k: int, bound: tuple[ScoredSpan, ...]) -> None:
    gold = post.evidence[k]
    row[Sum.BOUND_OR_GOLD] = 1
    row[Sum.EXACT] = {(s.start, s.end) for s in gold} == {(s.start, s.end) for s in bound}
    _count_sets(row, Sum.TOKEN_TP, words_touched(bound, post.words), words_touched(gold, post.words))
    _count_sets(row, Sum.SENTENCE_TP, sentences_of(bound, post.sentences), sentences_of(gold, post.sentences))
    guessed_union, gold_union = merge(bound), merge(gold)
    row[Sum.CHAR_TP] = shared_length(guessed_union, gold_union)
    row[Sum.CHAR_PREDICTED], row[Sum.CHAR_GOLD] = total_length(guessed_union), total_length(gold_union)
    row[Sum.SPAN_TP] = matched(bound, gold)
    row[Sum.SPAN_PREDICTED], row[Sum.SPAN_GOLD] = len(bound), len(gold)


def _count_sets(row: FloatArray, first: Sum, predicted: set[int], gold: set[int]) -> None:
    row[first : first + 3] = len(predicted & gold), len(predicted), len(gold)


def _count_ranks(row: FloatArray, post: GoldPost, k: int, ranked: tuple[ScoredSpan, ...]) -> None:
    row[Sum.GOLD] = 1
    for rank, candidate in enumerate(ranked, start=1):
        if hits(candidate, post.evidence[k], post.sentences):
            row[Sum.RECIPROCAL_RANK] = 1 / rank
            row[Sum.HIT_FIRST] = rank == 1
            return


def _count_absence(row: FloatArray, post: GoldPost, k: int, bound: tuple[ScoredSpan, ...]) -> None:
    if not post.labels[k]:
        row[Sum.EMPTY] = 1
        row[Sum.EMPTY_RIGHT] = not bound
    for hard in post.hard_negatives[k]:
        row[Sum.HARD] += 1
        row[Sum.HARD_TAKEN] += any(within(b, hard) or iou(b, hard) >= IOU_MATCH for b in bound)
