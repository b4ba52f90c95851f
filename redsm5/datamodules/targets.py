"""What is to be learned from a post, in tokens: labels, evidence, hard negatives, and what is unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redsm5.datamodules.corpus import Annotation, Corpus, Span
from redsm5.datamodules.gold import merge_spans

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Targets:
    """The targets of one post, tokens counted without special tokens.

    Attributes:
        labels: float32 [K], 0 or 1 per criterion.
        unknown: bool [K], True where some evidence has no place in the tokens (it failed to align, or its characters
            gave no token): the criterion is then left out of the evidence loss in all windows of the post.
        evidence: int64 [s, 3], rows (criterion, first token, last token inclusive); spans that overlap are merged.
        hard_negatives: int64 [h, 3], likewise for sentences with status 0; unaligned ones and those that overlap
            evidence of the same criterion are dropped.
        denied: bool [K], True where a sentence has status 0, aligned or not.
    """

    labels: NDArray[np.float32]
    unknown: NDArray[np.bool_]
    evidence: IntArray
    hard_negatives: IntArray
    denied: NDArray[np.bool_]


def token_span(offsets: NDArray[np.int32], span: Span) -> tuple[int, int] | None:
    """The first and last token that share a character with a span, or None where no token does.

    Args:
        offsets: [T, 2], character offsets of the tokens.
        span: Character offsets.
    """
    starts, ends = offsets[:, 0], offsets[:, 1]
    overlapping = np.flatnonzero((ends > span.start) & (starts < span.end) & (starts < ends))
    return (int(overlapping[0]), int(overlapping[-1])) if overlapping.size else None


def targets_of(corpus: Corpus, post_id: str, offsets: NDArray[np.int32]) -> Targets:
    """The targets of a post of the corpus.

    Args:
        corpus: The corpus.
        post_id: One of its posts.
        offsets: [T, 2], character offsets of the post's tokens.
    """
    return targets_from(corpus.annotations_by_post[post_id], corpus.codes, offsets)


def targets_from(annotations: Sequence[Annotation], codes: Sequence[str], offsets: NDArray[np.int32]) -> Targets:
    """The targets of a post with these annotations.

    Args:
        annotations: Of the post.
        codes: Criteria in the order of the outputs.
        offsets: [T, 2], character offsets of the post's tokens.
    """
    unknown = np.zeros(len(codes), dtype=bool)
    denied = np.zeros(len(codes), dtype=bool)
    evidence: list[tuple[int, int, int]] = []
    hard_negatives: list[tuple[int, int, int]] = []
    for k, code in enumerate(codes):
        positive = [a.span for a in annotations if a.criterion == code and a.status == 1]
        negative = [a.span for a in annotations if a.criterion == code and a.status == 0]
        gold = merge_spans([span for span in positive if span is not None])
        tokens = [token_span(offsets, span) for span in gold]
        unknown[k] = None in positive or None in tokens
        denied[k] = bool(negative)
        evidence.extend((k, *found) for found in tokens if found is not None)
        for span in sorted({s for s in negative if s is not None}, key=lambda s: (s.start, s.end)):
            found = token_span(offsets, span)
            if found is not None and not any(span.start < g.end and g.start < span.end for g in gold):
                hard_negatives.append((k, *found))
    present = {a.criterion for a in annotations if a.status == 1}
    labels = np.array([code in present for code in codes], dtype=np.float32)
    return Targets(labels, unknown, _rows(evidence), _rows(hard_negatives), denied)


def no_targets(n_criteria: int) -> Targets:
    """The targets of a post of which nothing is known: it is only predicted."""
    return Targets(
        labels=np.zeros(n_criteria, dtype=np.float32),
        unknown=np.ones(n_criteria, dtype=bool),
        evidence=_rows(()),
        hard_negatives=_rows(()),
        denied=np.zeros(n_criteria, dtype=bool),
    )


def _rows(rows: Iterable[tuple[int, int, int]]) -> IntArray:
    return np.array(list(dict.fromkeys(rows)), dtype=np.int64).reshape(-1, 3)
