"""From scored candidates to the spans of a post: merging of windows and non-maximum suppression. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from redsm5.metrics.records import ScoredSpan

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


NESTED = 0.5
"""A span more than this share of which (or of the better one, if that is shorter) is in both tells nothing new."""


@dataclass(frozen=True)
class SpanDecoding:
    """How evidence spans are read off the evidence head."""

    max_spans: int = 3
    """Spans per post and criterion"""
    max_characters: int = 600
    """Longest span, in characters"""
    nms_iou: float = 0.5
    """A span that overlaps a better one by more than this (intersection over union of characters) is dropped"""
    min_score: float | None = None
    """Margin over null that a span must reach; without one the best are always ranked, and predicted above null"""

    def __post_init__(self) -> None:
        """Refuse impossible limits."""
        for name in ("max_spans", "max_characters"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if not 0 <= self.nms_iou <= 1:
            raise ValueError(f"nms_iou is {self.nms_iou}; it must be between 0 and 1")
        # Below 0 null wins anyway.
        if self.min_score is not None and not (math.isfinite(self.min_score) and self.min_score >= 0):
            raise ValueError(f"min_score is {self.min_score}; it must be a finite number of at least 0, or null")


@dataclass(frozen=True)
class Candidates:
    """Scored spans of a batch in columns of one length N, in no order; the windows of an example are not told apart.

    Attributes:
        example: int64 [N], 0 to E - 1.
        output: int64 [N], 0 to K - 1.
        start: int64 [N], character offset into the post.
        end: int64 [N], exclusive, above ``start``.
        score: float64 [N], margin over the null option.
    """

    example: Ints
    output: Ints
    start: Ints
    end: Ints
    score: Floats


def decode(
    candidates: Candidates, n_examples: int, n_outputs: int, decoding: SpanDecoding
) -> list[list[tuple[ScoredSpan, ...]]]:
    """The spans of every example and output.

    Args:
        candidates: From all windows of all examples.
        n_examples: E.
        n_outputs: K.
        decoding: Limits.

    Returns:
        E lists of K tuples as ``decode_spans`` gives them; empty where there is no candidate.
    """
    group = candidates.example * n_outputs + candidates.output
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(n_examples * n_outputs + 1))
    spans = []
    for low, high in pairwise(bounds.tolist()):
        rows = order[low:high]
        spans.append(_select(candidates.start[rows], candidates.end[rows], candidates.score[rows], decoding))
    return [spans[e * n_outputs : (e + 1) * n_outputs] for e in range(n_examples)]


def decode_spans(candidates: Iterable[ScoredSpan], decoding: SpanDecoding) -> tuple[ScoredSpan, ...]:
    """The best spans that do not overlap much, best first.

    A span seen several times (by neighbouring windows) keeps its best score. Greedy non-maximum suppression: the best
    candidate stays, what overlaps it by more than ``nms_iou`` goes, and so on to ``max_spans``. Equal scores: the
    earlier start, then the shorter span. What does not reach ``min_score`` takes no part.

    Args:
        candidates: Spans of one example and output.
        decoding: Limits.
    """
    listed = list(candidates)
    start = np.array([span.start for span in listed], dtype=np.int64)
    end = np.array([span.end for span in listed], dtype=np.int64)
    score = np.array([span.score for span in listed], dtype=np.float64)
    return _select(start, end, score, decoding)


def _select(start: Ints, end: Ints, score: Floats, decoding: SpanDecoding) -> tuple[ScoredSpan, ...]:
    chosen: list[ScoredSpan] = []
    if decoding.min_score is not None:
        enough = score >= decoding.min_score
        start, end, score = start[enough], end[enough], score[enough]
    while len(start) and len(chosen) < decoding.max_spans:
        # Not sorted: of thousands of candidates a few are asked for.
        ties = np.flatnonzero(score == score.max())
        best = ties[0] if len(ties) == 1 else ties[np.lexsort((end[ties], start[ties]))[0]]
        first, last = start[best], end[best]
        chosen.append(ScoredSpan(int(first), int(last), float(score[best])))
        shared = np.maximum(0, np.minimum(end, last) - np.maximum(start, first))
        union = (end - start) + (last - first) - shared
        iou = shared / np.maximum(union, 1)
        # The span itself has IoU 1, and so do its copies: they go even where nms_iou is 1. A part of a better span, or
        # what swallows it, has a small IoU and is the same evidence all the same.
        shorter = np.minimum(end - start, last - first)
        keep = (iou < 1) & (iou <= decoding.nms_iou) & (shared <= NESTED * shorter)
        start, end, score = start[keep], end[keep], score[keep]
    return tuple(chosen)
