"""Geometry of character spans: overlap, IoU, matching, words and sentences. Pure functions, offsets end exclusive."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Protocol

from redsm5.datamodules.corpus import Span

IOU_MATCH = 0.5
"""Two spans agree where their character IoU is at least this."""


class SpanLike(Protocol):
    """Anything with character offsets: a ``Span`` or a ``ScoredSpan``."""

    @property
    def start(self) -> int:
        """First character."""

    @property
    def end(self) -> int:
        """One past the last character."""


def overlap(a: SpanLike, b: SpanLike) -> int:
    """Number of characters that two spans share."""
    return max(0, min(a.end, b.end) - max(a.start, b.start))


def iou(a: SpanLike, b: SpanLike) -> float:
    """Intersection over union of two spans in characters; 0.0 where both are empty."""
    shared = overlap(a, b)
    union = (a.end - a.start) + (b.end - b.start) - shared
    return shared / union if shared else 0.0


def within(inner: SpanLike, outer: SpanLike) -> bool:
    """Whether a span of at least one character lies wholly in another."""
    return outer.start <= inner.start < inner.end <= outer.end


def merge(spans: Iterable[SpanLike]) -> list[Span]:
    """The union of spans as sorted, disjoint spans; empty ones are dropped, touching ones joined."""
    merged: list[Span] = []
    for span in sorted((s for s in spans if s.start < s.end), key=attrgetter("start")):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(Span(span.start, span.end))
    return merged


def total_length(disjoint: Iterable[SpanLike]) -> int:
    """Characters in disjoint spans."""
    return sum(s.end - s.start for s in disjoint)


def shared_length(disjoint_a: Sequence[SpanLike], disjoint_b: Sequence[SpanLike]) -> int:
    """Characters that two unions, each given as disjoint spans, have in common."""
    return sum(overlap(a, b) for a in disjoint_a for b in disjoint_b)


def words_touched(spans: Iterable[SpanLike], words: Sequence[Span]) -> set[int]:
    """Indices of the words that share at least one character with any of the spans.

    Args:
        spans: Any spans.
        words: Disjoint and sorted.
    """
    touched: set[int] = set()
    for span in spans:
        if span.start < span.end:
            first = bisect_right(words, span.start, key=attrgetter("end"))
            touched.update(range(first, bisect_left(words, span.end, key=attrgetter("start"))))
    return touched


def sentences_of(spans: Iterable[SpanLike], sentences: Sequence[Span]) -> set[int]:
    """Indices of the sentences that the spans select.

    A span selects each sentence of which it covers at least half, and the sentence in which it lies. Where neither
    holds for any sentence (a span over the border of two long ones), it selects the one it shares most characters
    with, the first on a tie, so that a span never vanishes.

    Args:
        spans: Any spans, predicted or gold: the rule is the same for both.
        sentences: Disjoint and sorted.
    """
    selected: set[int] = set()
    for span in spans:
        first = bisect_right(sentences, span.start, key=attrgetter("end"))
        last = bisect_left(sentences, span.end, key=attrgetter("start"))
        shares = {i: overlap(span, sentences[i]) for i in range(first, last)}
        shares = {i: shared for i, shared in shares.items() if shared}
        chosen = {
            i
            for i, shared in shares.items()
            if 2 * shared >= sentences[i].end - sentences[i].start or within(span, sentences[i])
        }
        if not chosen and shares:
            chosen = {max(shares, key=lambda i: (shares[i], -i))}
        selected |= chosen
    return selected


def matched(predicted: Sequence[SpanLike], gold: Sequence[SpanLike], minimum: float = IOU_MATCH) -> int:
    """Size of the largest one-to-one matching of predicted to gold spans with IoU of at least ``minimum``.

    Optimal, by augmenting paths (H. W. Kuhn 1955, J. Munkres 1957, for weights of 0 and 1).
    """
    partners = [[j for j, g in enumerate(gold) if iou(p, g) >= minimum] for p in predicted]
    taken_by: dict[int, int] = {}

    def place(i: int, tried: set[int]) -> bool:
        for j in partners[i]:
            if j not in tried:
                tried.add(j)
                if j not in taken_by or place(taken_by[j], tried):
                    taken_by[j] = i
                    return True
        return False

    return sum(place(i, set()) for i in range(len(predicted)))
