"""Places of a post that are nearly a given sentence, scored by edit similarity."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from rapidfuzz import fuzz, process

from redsm5.datamodules.corpus import Span
from redsm5.datamodules.normalise import Normalised, normalise
from redsm5.datamodules.sentences import split_sentences

MAX_RUN = 3
"""Sentences of ours that one sentence of the annotators may span."""


@dataclass(frozen=True, slots=True)
class Place:
    """The best place, its similarity and that of the best place that does not overlap it (0 to 100)."""

    span: Span
    score: float
    runner_up: float


@dataclass(frozen=True, slots=True)
class _Runs:
    """Runs of 1 to ``MAX_RUN`` sentences: original spans, normalised ranges and normalised texts."""

    spans: list[Span]
    ranges: list[tuple[int, int]]
    texts: list[str]
    singles: list[bool]


def best_place(needle: str, text: str, *, cutoff: float, margin: float) -> Place | None:
    """The most similar place of a text.

    Places are runs of one to three contiguous sentences of our splitter, and parts of one sentence, cut at words.
    Similarity is rapidfuzz's ``ratio``: 100 (1 - d / (m + n)) for the insertions and deletions d between strings of m
    and n characters.

    Args:
        needle: The sentence, normalised and not empty.
        text: The post, original.
        cutoff: Parts of a sentence are looked at only where they can reach ``cutoff - margin``; runs are scored always.
        margin: See ``cutoff``.

    Returns:
        None where the text has no sentence, or is far too short for the needle.
    """
    haystack = normalise(text)
    if len(needle) > 4 * len(haystack.text):
        return None
    runs = _runs(text)
    if not runs.texts:
        return None
    scores = process.cdist([needle], runs.texts, scorer=fuzz.ratio, dtype=np.float64)[0]
    spans, all_scores = list(runs.spans), [float(score) for score in scores]
    # A part of length w scores s = 2 LCS / (m + w) and w >= LCS, so that s >= floor needs LCS >= m floor / (2 - floor).
    floor = max(cutoff - margin, 0.0) / 100
    least_common = len(needle) * floor / (2 - floor)
    for (start, end), score, single in zip(runs.ranges, scores, runs.singles, strict=True):
        length = end - start
        if single and length > len(needle) and score / 200 * (len(needle) + length) >= least_common - 1e-6:
            part = _best_part(needle, haystack, start, end, 100 * floor)
            if part is not None:
                spans.append(part[0])
                all_scores.append(part[1])
    best = int(np.argmax(all_scores))
    chosen = spans[best]
    others = [
        score
        for span, score in zip(spans, all_scores, strict=True)
        if span.end <= chosen.start or span.start >= chosen.end
    ]
    return Place(chosen, all_scores[best], max(others, default=0.0))


@lru_cache(maxsize=4)
def _runs(text: str) -> _Runs:
    haystack, sentences = normalise(text), split_sentences(text)
    runs = _Runs([], [], [], [])
    for first in range(len(sentences)):
        for last in range(first, min(first + MAX_RUN, len(sentences))):
            span = Span(sentences[first].start, sentences[last].end)
            start, end = bisect_left(haystack.starts, span.start), bisect_right(haystack.ends, span.end)
            if start < end:
                runs.spans.append(span)
                runs.ranges.append((start, end))
                runs.texts.append(haystack.text[start:end])
                runs.singles.append(first == last)
    return runs


def _best_part(needle: str, haystack: Normalised, start: int, end: int, floor: float) -> tuple[Span, float] | None:
    """The part of haystack[start:end] that is most like the needle, both ends moved to the words around them."""
    found = fuzz.partial_ratio_alignment(needle, haystack.text[start:end], score_cutoff=floor)
    if found is None:
        return None
    best: tuple[Span, float] | None = None
    for first in _word_edges(haystack.text, start + found.dest_start, start, end):
        for last in _word_edges(haystack.text, start + found.dest_end, start, end):
            piece = haystack.text[first:last]
            left, right = first + len(piece) - len(piece.lstrip()), last - (len(piece) - len(piece.rstrip()))
            span = haystack.original(left, right) if left < right else None
            score = fuzz.ratio(needle, piece.strip())
            if span is not None and (best is None or score > best[1]):
                best = (span, score)
    return best


def _word_edges(text: str, position: int, start: int, end: int) -> set[int]:
    """The nearest blank (or limit) on either side of a position."""
    before = text.rfind(" ", start, position)
    after = text.find(" ", position, end)
    return {start if before < 0 else before, end if after < 0 else after}
