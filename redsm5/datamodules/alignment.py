"""Where a sentence stands in its post: exactly, after normalisation, nearly, or not at all."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from redsm5.datamodules.corpus import AlignmentKind, Span
from redsm5.datamodules.fuzzy import best_place
from redsm5.datamodules.normalise import normalise
from redsm5.datamodules.sentences import split_sentences

DEFAULT_CUTOFF = 90.0
DEFAULT_MARGIN = 5.0


@dataclass(frozen=True, slots=True)
class Alignment:
    """The place of a sentence.

    Attributes:
        kind: How it was found.
        span: Offsets into the original text; None where it failed.
        score: 100 for exact and normalised, otherwise the similarity of the best place, 0 to 100, found or not.
        runner_up: The similarity of the best place that does not overlap it (fuzzy and failed; else 0).
    """

    kind: AlignmentKind
    span: Span | None
    score: float
    runner_up: float = 0.0


def align(
    sentence: str, text: str, *, hint: int | None, cutoff: float = DEFAULT_CUTOFF, margin: float = DEFAULT_MARGIN
) -> Alignment:
    """Find a sentence in a text; the first of exact, normalised and fuzzy that succeeds.

    Of several exact (or normalised) places the one nearest to ``hint`` wins, counted in sentences of our own splitter.
    A place that begins or ends inside a word counts only where there is no better one and the sentence has several
    words.

    Args:
        sentence: What the annotation quotes.
        text: The post, original.
        hint: The index of the sentence in the post, or None; a hint only, as the annotators' splitter is unknown.
        cutoff: The least similarity of a fuzzy place, 0 to 100.
        margin: How much better it must be than any place that does not overlap it.

    Returns:
        The alignment; kind ``failed`` where nothing is good or clear enough.
    """
    wanted = sentence.strip()
    if not wanted:
        return Alignment("failed", None, 0.0)
    exact = [Span(start, start + len(wanted)) for start in _occurrences(wanted, text)]
    if (span := _nearest(exact, wanted, text, hint)) is not None:
        return Alignment("exact", span, 100.0)
    needle, haystack = normalise(wanted).text, normalise(text)
    if not needle:
        return Alignment("failed", None, 0.0)
    places = (haystack.original(start, start + len(needle)) for start in _occurrences(needle, haystack.text))
    if (span := _nearest([place for place in places if place is not None], wanted, text, hint)) is not None:
        return Alignment("normalised", span, 100.0)
    best = best_place(needle, text, cutoff=cutoff, margin=margin)
    if best is None:
        return Alignment("failed", None, 0.0)
    if best.score >= cutoff and best.score - best.runner_up >= margin:
        return Alignment("fuzzy", best.span, best.score, best.runner_up)
    return Alignment("failed", None, best.score, best.runner_up)


def _occurrences(needle: str, haystack: str) -> list[int]:
    """Starts of all places, overlapping ones too."""
    starts = []
    start = haystack.find(needle)
    while start >= 0:
        starts.append(start)
        start = haystack.find(needle, start + 1)
    return starts


def _nearest(spans: list[Span], sentence: str, text: str, hint: int | None) -> Span | None:
    whole = [span for span in spans if _is_whole(span, text)]
    pool = whole or (spans if len(sentence.split()) > 1 else [])
    if not pool:
        return None
    if hint is None or len(pool) == 1:
        return pool[0]
    starts = [found.start for found in split_sentences(text)]
    return min(pool, key=lambda span: abs(bisect_right(starts, span.start) - 1 - hint))


def _is_whole(span: Span, text: str) -> bool:
    """Whether neither end cuts a word."""
    cuts = (position for position in (span.start, span.end) if 0 < position < len(text))
    return not any(text[position - 1].isalnum() and text[position].isalnum() for position in cuts)
