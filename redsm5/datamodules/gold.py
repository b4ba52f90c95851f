"""The truth about a post in the shape that metrics and reports read."""

from __future__ import annotations

import re

from redsm5.datamodules.corpus import Corpus, Span
from redsm5.datamodules.sentences import split_sentences
from redsm5.metrics.records import GoldPost

_WORD = re.compile(r"\w+")


def gold_post(corpus: Corpus, post_id: str) -> GoldPost:
    """Labels, evidence and sentences of a post.

    Args:
        corpus: The corpus.
        post_id: One of its posts.

    Returns:
        Tuples over criteria in the order of ``corpus.codes``; evidence merged where spans overlap (not where they only
        touch); hard negatives without those that overlap evidence of their criterion, which the targets drop too.

    Raises:
        KeyError: The corpus has no such post.
    """
    post = corpus.post_by_id[post_id]
    evidence: dict[str, list[Span]] = {code: [] for code in corpus.codes}
    hard: dict[str, list[Span]] = {code: [] for code in corpus.codes}
    unaligned: set[str] = set()
    for annotation in corpus.annotations_by_post[post_id]:
        if annotation.span is not None:
            (evidence if annotation.status == 1 else hard)[annotation.criterion].append(annotation.span)
        elif annotation.status == 1:
            unaligned.add(annotation.criterion)
    merged = {code: merge_spans(spans) for code, spans in evidence.items()}
    return GoldPost(
        post_id=post.id,
        author=post.author,
        labels=corpus.labels(post_id),
        evidence=tuple(merged[code] for code in corpus.codes),
        unaligned=tuple(code in unaligned for code in corpus.codes),
        hard_negatives=tuple(_clear_of(merged[code], hard[code]) for code in corpus.codes),
        sentences=split_sentences(post.text),
        words=tuple(Span(*match.span()) for match in _WORD.finditer(post.text)),
    )


def merge_spans(spans: list[Span]) -> tuple[Span, ...]:
    """Spans with those that share a character joined, sorted.

    Args:
        spans: In any order.
    """
    merged: list[Span] = []
    for span in _sorted(spans):
        if merged and span.start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(merged)


def _clear_of(evidence: tuple[Span, ...], denied: list[Span]) -> tuple[Span, ...]:
    """The denied spans, sorted, that share no character with evidence: to bind evidence must not count as wrong."""
    return _sorted({d for d in denied if not any(d.start < e.end and e.start < d.end for e in evidence)})


def _sorted(spans: list[Span] | set[Span]) -> tuple[Span, ...]:
    return tuple(sorted(spans, key=lambda span: (span.start, span.end)))
