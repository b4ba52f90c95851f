"""What metrics, reports and predictions are computed from. Plain data: no torch, no post text."""

from __future__ import annotations

from dataclasses import dataclass

from redsm5.datamodules.corpus import Span


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """A predicted evidence span: character offsets, end exclusive, and its score.

    ``score`` is the margin over the null option in logits: above 0 the span beats "no evidence".
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class GoldPost:
    """The truth about one post. Every tuple over criteria is in the order of ``Corpus.codes``.

    Attributes:
        post_id: The post.
        author: The group that bootstraps resample.
        labels: 0/1 per criterion.
        evidence: Per criterion, the aligned spans with status 1, merged where they overlap and sorted.
        unaligned: Per criterion, whether some of its evidence failed to align (evidence metrics then leave it out).
        hard_negatives: Per criterion, the aligned spans with status 0.
        sentences: Spans of all sentences of the post, from our own splitter.
        words: Spans of all maximal runs of word characters (as of a regex's backslash-w) of the post, sorted: the
            tokens of token F1, which is undefined where they are not given.
    """

    post_id: str
    author: str
    labels: tuple[int, ...]
    evidence: tuple[tuple[Span, ...], ...]
    unaligned: tuple[bool, ...]
    hard_negatives: tuple[tuple[Span, ...], ...]
    sentences: tuple[Span, ...]
    words: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class PredictedPost:
    """What the model says of one post. Tuples over criteria as in ``GoldPost``.

    ``candidates`` are the decoded spans per criterion, best first, after non-maximum suppression and *before* the null
    option is applied: at least the best span is there even where null wins (score <= 0), so that ranking metrics work.
    ``probabilities`` are uncalibrated sigmoid outputs.
    """

    post_id: str
    probabilities: tuple[float, ...]
    candidates: tuple[tuple[ScoredSpan, ...], ...]
