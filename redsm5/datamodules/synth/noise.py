"""Differences between posts, and between a post and the sentence that its annotation quotes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from redsm5.datamodules.synth.draw import Draw

QuoteNoise = Literal["none", "form", "words"]
"""How a quoted sentence differs: not at all, in form only (quotes, spaces, case), in some words."""

_NBSP = "\u00a0"


@dataclass(frozen=True, slots=True)
class Style:
    """How an author types.

    Attributes:
        lower: Everything in lower case.
        bare: No apostrophes in contractions.
        curly: Typographic quotes.
        gap: What stands between sentences.
    """

    lower: bool = False
    bare: bool = False
    curly: bool = False
    gap: str = " "

    def apply(self, sentence: str) -> str:
        """The sentence as this author types it; the number of words stays."""
        if self.lower:
            sentence = sentence.lower()
        if self.bare:
            sentence = sentence.replace("'", "")
        return curl(sentence) if self.curly else sentence


def draw_style(draw: Draw) -> Style:
    """A style; most are plain."""
    return Style(
        lower=draw.chance(0.08),
        bare=draw.chance(0.05),
        curly=draw.chance(0.15),
        gap=draw.weighted((" ", "  ", f"{_NBSP} "), (91, 7, 2)),
    )


def curl(text: str) -> str:
    """Straight quotes made typographic."""
    return re.sub(r'"(?=\w)', "“", text).replace('"', "”").replace("'", "’")


def straighten(text: str) -> str:
    """Typographic quotes made straight."""
    return text.translate(str.maketrans("“”‘’", "\"\"''"))


def quote(sentence: str, noise: QuoteNoise, draw: Draw) -> str:
    """A sentence as an annotation quotes it.

    Args:
        sentence: As it stands in the post.
        noise: How much it differs.
        draw: What chooses.

    Returns:
        The quoted text; ``form`` alters what NFKC, quotes, white space and case folding undo, ``words`` some letters.
    """
    if noise == "none":
        return sentence
    return _form(sentence, draw) if noise == "form" else _words(sentence, draw)


def _form(sentence: str, draw: Draw) -> str:
    kind = draw.pick(("quotes", "space", "nbsp", "case", "trim"))
    position = draw.pick([match.start() for match in re.finditer(" ", sentence)] or [len(sentence)])
    if kind == "quotes" and curl(sentence) != straighten(sentence):
        return straighten(sentence) if sentence == curl(sentence) else curl(sentence)
    if kind == "nbsp":
        return f"{sentence[:position]}{_NBSP}{sentence[position + 1 :]}"
    if kind == "case":
        changed = sentence.lower()
        return changed if changed != sentence else sentence.upper()
    return f" {sentence} " if kind == "trim" else f"{sentence[:position]}  {sentence[position + 1 :]}"


def _words(sentence: str, draw: Draw) -> str:
    """Two letters of one long word swapped, and the end mark changed: still close to the sentence."""
    words = sentence.split(" ")
    long = [index for index, word in enumerate(words) if len(word) > 4 and word.isalpha()]
    if long:
        index = draw.pick(long)
        word = words[index]
        words[index] = f"{word[:2]}{word[3]}{word[2]}{word[4:]}"
    end = "!" if sentence[-1] != "!" else "."
    return " ".join(words).rstrip(".!?") + end
