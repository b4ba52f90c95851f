"""Our own sentence splitter: rules alone, so that the same text gives the same sentences everywhere.

Made for informal English: all lower case, missing spaces, ellipses, runs of "!?", emoticons, lists, tokenised text.
"""

from __future__ import annotations

import re
from functools import lru_cache

from redsm5.datamodules.corpus import Span

SPLITTER_VERSION = "1"
"""Raised whenever the sentences of some text change: metrics over sentences are comparable within a version."""

# fmt: off  (a word a line would hide the rules below)
_ABBREVIATIONS = frozenset(
    {
        "mr",
        "mrs",
        "ms",
        "dr",
        "drs",
        "prof",
        "st",
        "jr",
        "sr",
        "vs",
        "approx",
        "dept",
        "est",
        "fig",
        "gen",
        "lt",
        "sgt",
        "capt",
        "rev",
        "hon",
        "mt",
        "e.g",
        "i.e",
        "eg",
        "ie",
        "cf",
        "al",
        "ca",
        "viz",
    }
)
# fmt: on
"""Before a full stop: no sentence ends here."""

_SOFT_ABBREVIATIONS = frozenset(
    {"etc", "a.m", "p.m", "inc", "ltd", "corp", "u.s", "u.k", "e.u", "ph.d", "m.d", "b.a", "m.a"}
)
"""Before a full stop: a sentence ends here only if a capital follows."""

_EMOTICON = r"(?:[:;=8xX]['’]?-?[()\[\]DPpOo3/\\|*]++|<3++|\^_*+\^|[-T]_++[-T])(?!\w)"
_FACE = rf"(?:{_EMOTICON}|[\U0001F000-\U0001FAFF\u2600-\u27BF\uFE0F\u200D])"
_CLOSERS = r"[\"'”’»)\]}*_]*+"
_LINE_END = r"[\r\n\v\f\x85\u2028\u2029]"

# Possessive quantifiers and the look-behind of `stop` keep it linear on runs of dots, spaces or emoji.
_BREAK = re.compile(
    # Line breaks; they end a sentence unless a single one only wraps the line.
    rf"(?P<line>{_LINE_END}\s*+)"
    # Terminators with what closes behind them, then whitespace.
    rf"|(?<![.!?…])(?P<stop>[.!?…]++{_CLOSERS}(?:[^\S\r\n]?{_FACE})*+)(?=\s)"
    # No space after the full stop: "tired.I", but not "e.Coli" or "Node.js".
    r"|(?<=[a-z]{2})(?P<tight>[.!?…]++)(?=I\b|[A-Z][a-z'’])"
    # An emoticon or emoji without a terminator, before a capital.
    rf"|(?<=\s)(?P<face>{_FACE}++)(?=[^\S\r\n]{{1,4}}[A-Z])"
)
_MARKS = re.compile(r"[.!?…]+")
_NEXT = re.compile(r"\S")
_LAST_WORD = re.compile(r"[^\s(\[\"“‘']+\Z")
_OPENERS = "\"'“‘«([{*_"
_LIST_NUMBER = re.compile(r"(?:\A|[\r\n])[ \t]*(?:\d{1,3}|[A-Za-z])\Z")
_MAX_WORD = 64
"""How far back a last word is looked for: no abbreviation is longer, and looking is then constant work."""


@lru_cache(maxsize=256)
def split_sentences(text: str) -> tuple[Span, ...]:
    """Sentences of a text.

    Args:
        text: Any text.

    Returns:
        Spans in order; they do not overlap, neither begin nor end with whitespace, and leave out nothing but
        whitespace.
    """
    spans: list[Span] = []
    start = 0
    for match in _BREAK.finditer(text):
        end = _sentence_end(text, match)
        if end is not None:
            _add(text, start, end, spans)
            start = end
    _add(text, start, len(text), spans)
    return tuple(spans)


def _add(text: str, start: int, end: int, spans: list[Span]) -> None:
    piece = text[start:end]
    stripped = piece.lstrip()
    first = end - len(stripped)
    last = first + len(stripped.rstrip())
    if first < last:
        spans.append(Span(first, last))


def _sentence_end(text: str, match: re.Match[str]) -> int | None:
    """Where the sentence ends that this break may end; None where it goes on."""
    if match["line"] is not None:
        return None if _wraps(text, match) else match.start()
    if match["stop"] is not None:
        return match.end("stop") if _stops(text, match) else None
    if match["tight"] is not None:
        return None if _in_address(text, match.start()) else match.end("tight")
    return match.end("face")


def _wraps(text: str, match: re.Match[str]) -> bool:
    """Whether one line break stands in the middle of a sentence: no stop before it, a small letter after it."""
    single = len(re.findall(_LINE_END, match["line"].replace("\r\n", "\n"))) == 1
    before = text[max(0, match.start() - _MAX_WORD) : match.start()].rstrip()[-1:]
    after = text[match.end() : match.end() + 1]
    return single and after.islower() and (before.isalnum() or before in {",", ";", "-", "–", "—", "'", "’"})


def _stops(text: str, match: re.Match[str]) -> bool:
    found = _MARKS.match(text, match.start("stop"))
    assert found is not None  # `stop` begins with them.
    marks, closers = found[0], match["stop"][len(found[0]) :]
    after = _first_letter(text, match.end())
    if closers[:1] in {'"', "'", "”", "’", "»", ")", "]", "}"} and after.islower():
        return False  # "Why?" she asked
    if marks == ".":
        return not _abbreviates(text, found.start(), after)
    ellipsis = ("…" in marks or ".." in marks) and not {"!", "?"} & set(marks)
    return not (ellipsis and after.islower())


def _first_letter(text: str, position: int) -> str:
    """The character that begins the next word, opening quotes and brackets skipped; empty at the end."""
    found = _NEXT.search(text, position)
    if found is None:
        return ""
    return text[found.start() : found.start() + 3].lstrip(_OPENERS)[:1]


def _abbreviates(text: str, dot: int, after: str) -> bool:
    before = text[max(0, dot - _MAX_WORD) : dot]
    if _LIST_NUMBER.search(before):
        return True  # 1. The first point
    found = _LAST_WORD.search(before)
    if found is None:
        return False
    word = found[0]
    if word.lower() in _ABBREVIATIONS:
        return True
    if word.lower() in _SOFT_ABBREVIATIONS:
        return not after.isupper()
    return len(word) == 1 and word.isupper() and word != "I" and after.isupper()  # J. Smith


def _in_address(text: str, position: int) -> bool:
    found = _LAST_WORD.search(text[max(0, position - _MAX_WORD) : position])
    return found is not None and ("/" in found[0] or "@" in found[0] or found[0].lower().startswith("www"))
