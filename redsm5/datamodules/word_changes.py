"""Changes to the words of some spans of a text; every other character stays, and spans are moved along. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from redsm5.datamodules.corpus import Span
from redsm5.datamodules.synonyms import Lookup, protected_words

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
NEIGHBOURS = {
    a: row[max(0, i - 1) : i] + row[i + 1 : i + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for i, a in enumerate(row)
}

Change = Callable[[list[str], int, np.random.Generator], list[str] | None]
"""From the words of a sentence and the index of one to the words after it; None where it cannot be changed. A word that
is left out becomes empty: there are as many words as before."""


class WordChanger:
    """Changes words with a probability.

    Args:
        changes: What may happen to a word; one is drawn.
        probability: Of each word to be changed.
        protected: Words that never change, beside those of the bundled list.
    """

    def __init__(self, changes: Sequence[Change], probability: float, protected: Sequence[str]) -> None:
        self.changes = tuple(changes)
        self.probability = probability
        self.protected = protected_words() | {word.casefold() for word in protected}

    def sentence(self, text: str, rng: np.random.Generator) -> str:
        """A sentence with some words changed.

        Args:
            text: The sentence.
            rng: Source of what is drawn.
        """
        found = list(WORD.finditer(text))
        words = [match.group() for match in found]
        free = [not self._kept(word) for word in words]
        for i in range(len(words)):
            # Drawn for every word, so that what happens to one does not hang on whether another is protected.
            hit, which = rng.random() < self.probability, int(rng.integers(len(self.changes)))
            if not hit or not free[i] or not words[i]:
                continue
            changed = self.changes[which](words, i, rng)
            if changed is None or not any(changed):
                continue
            if all(free[k] for k in range(len(words)) if changed[k] != words[k]):
                words = changed
        return _joined(text, found, words)

    def _kept(self, word: str) -> bool:
        return word.casefold().replace("’", "'") in self.protected


def change_spans(
    text: str, spans: Sequence[Span], changer: WordChanger, rng: np.random.Generator
) -> tuple[str, Callable[[Span], Span]]:
    """A text with changes in some of its spans, and where any span of the old one lies in the new one.

    Args:
        text: The text.
        spans: Where to change; those that overlap count as one.
        changer: What to change.
        rng: Source of what is drawn.

    Returns:
        The new text, and a function from a span that does not begin or end within a changed one (its ends may be
        theirs) to the new span. One that does begin or end within is widened to the whole changed span.
    """
    pieces: list[str] = []
    moved: list[tuple[Span, Span]] = []
    at = shift = 0
    for span in _merged(spans):
        changed = changer.sentence(text[span.start : span.end], rng)
        pieces += [text[at : span.start], changed]
        moved.append((span, Span(span.start + shift, span.start + shift + len(changed))))
        shift += len(changed) - (span.end - span.start)
        at = span.end
    pieces.append(text[at:])

    def relocate(span: Span) -> Span:
        start = end = 0
        for old, new in moved:
            if span.start >= old.end:
                start = new.end - old.end
            if span.end >= old.end:
                end = new.end - old.end
        start += span.start
        end += span.end
        for old, new in moved:
            if old.start < span.start < old.end:
                start = new.start
            if old.start < span.end < old.end:
                end = new.end
        return Span(start, end)

    return "".join(pieces), relocate


class Replace:
    """A synonym, in the same case.

    Args:
        lookup: From a word in lower case to its synonyms.
    """

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup

    def __call__(self, words: list[str], i: int, rng: np.random.Generator) -> list[str] | None:
        """The words with another in place i."""
        choices = self.lookup(words[i].lower())
        if not choices:
            return None
        return _with(words, i, _in_case(words[i], choices[int(rng.integers(len(choices)))]))


def delete(words: list[str], i: int, rng: np.random.Generator) -> list[str] | None:
    """The words without word i."""
    return _with(words, i, "")


def swap(words: list[str], i: int, rng: np.random.Generator) -> list[str] | None:
    """The words with word i and the next one in each other's place."""
    following = next((k for k in range(i + 1, len(words)) if words[k]), None)
    if following is None or words[following] == words[i]:
        return None
    changed = _with(words, i, words[following])
    changed[following] = words[i]
    return changed


def mistype(words: list[str], i: int, rng: np.random.Generator) -> list[str] | None:
    """The words with a slip of the fingers in word i, never in its first letter."""
    word = words[i]
    if len(word) < 3:
        return None
    at, kind = int(rng.integers(1, len(word))), int(rng.integers(4))
    if kind == 0:
        typed = word[:at] + word[at + 1 :]
    elif kind == 1:
        typed = word[:at] + word[at] + word[at:]
    elif kind == 2:
        near = NEIGHBOURS.get(word[at].lower(), "")
        if not near:
            return None
        key = near[int(rng.integers(len(near)))]
        typed = word[:at] + (key.upper() if word[at].isupper() else key) + word[at + 1 :]
    else:
        at = min(at, len(word) - 2)
        typed = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return None if typed == word else _with(words, i, typed)


def _joined(text: str, found: list[re.Match[str]], words: list[str]) -> str:
    """The text with other words in the places of those found; of one left out the blank before it goes too."""
    pieces, at = [], 0
    for match, word in zip(found, words, strict=True):
        gap = text[at : match.start()]
        if not word:
            gap = gap.rstrip(" ")
        pieces += [gap, word]
        at = match.end()
    joined = "".join([*pieces, text[at:]])
    # A first word that is left out leaves the blank behind it.
    return joined if joined[:1].isspace() == text[:1].isspace() else joined.lstrip(" ")


def _with(words: list[str], i: int, word: str) -> list[str]:
    return [*words[:i], word, *words[i + 1 :]]


def _in_case(model: str, word: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word


def _merged(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        if merged and span.start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged
