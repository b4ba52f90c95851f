"""Text without the differences that copying brings, with a way back to the original offsets."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from redsm5.datamodules.corpus import Span

_QUOTES = {**dict.fromkeys("‘’‚‛‹›′´`", "'"), **dict.fromkeys("“”„‟«»″", '"')}
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufeff\ufe0f"
_BLANK = _INVISIBLE + "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
"""What is whitespace once normalised; no code point above U+3000 is."""

_PIECE = re.compile(
    # Plain characters map one to one; the last one before a non-ASCII character may belong to a cluster with it.
    r"(?P<plain>[!#-&(-,/-_a-~]+(?![^\x00-\x7f]))"
    rf"|(?P<space>[\s{_INVISIBLE}]+)"
    r"|(?P<dots>…[.…]*|\.[.…]+)"
    r"|(?P<dashes>[-‐‑‒–—―−]+)"
    r"|(?P<quote>''|[\"'‘’‚‛‹›′´`“”„‟«»″])"
    r"|(?P<other>.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Normalised:
    """A normalised text.

    Attributes:
        text: The normalised characters.
        starts: Per normalised character, where the original piece it comes from starts.
        ends: Likewise where it ends; characters of one piece (such as the two of a ligature) share both.
    """

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def original(self, start: int, end: int) -> Span | None:
        """The original span of normalised characters, or None where it would cut an original piece.

        Args:
            start: First normalised character.
            end: One after the last; greater than ``start``.
        """
        cut_before = start > 0 and self.starts[start - 1] == self.starts[start]
        cut_after = end < len(self.text) and self.ends[end] == self.ends[end - 1]
        return None if cut_before or cut_after else Span(self.starts[start], self.ends[end - 1])


@lru_cache(maxsize=16)
def normalise(text: str) -> Normalised:
    """Unicode NFKC, case folded, quotes, dashes and ellipses in one form, whitespace runs as one space.

    Invisible characters (soft hyphens, zero-width spaces, variation selectors) are left out, and so is whitespace at
    both ends. The pieces of a span that cuts none of them are those of the whole text: what ``original`` gives back
    normalises to the same characters (https://unicode.org/reports/tr15/, section on concatenation, is why clusters stay
    together).

    Args:
        text: Any text.
    """
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    position = 0
    while match := _PIECE.match(text, position):
        start, end = match.span()
        if match.lastgroup == "plain":
            characters.append(match[0].lower())
            starts.extend(range(start, end))
            ends.extend(range(start + 1, end + 1))
        else:
            if match.lastgroup == "other":
                end = _cluster_end(text, start)
            form = _form(text[start:end], match.lastgroup)
            characters.append(form)
            starts.extend([start] * len(form))
            ends.extend([end] * len(form))
        position = end
    joined = "".join(characters)
    first = 1 if joined[:1] == " " and text[: ends[0]].strip(_BLANK) == "" else 0
    last = len(joined)
    if last > first and joined[-1] == " " and text[starts[-1] :].strip(_BLANK) == "":
        last -= 1
    return Normalised(joined[first:last], tuple(starts[first:last]), tuple(ends[first:last]))


def _form(piece: str, kind: str | None) -> str:
    match kind:
        case "space":
            return " " if any(character.isspace() for character in piece) else ""
        case "dots":
            return "..."
        case "dashes":
            return "-"
        case "quote":
            return '"' if piece == "''" else _QUOTES.get(piece, piece)
        case _:
            folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", piece).casefold())
            # A spacing accent folds to a blank and an accent: blanks stand for whitespace alone.
            return "".join(_QUOTES.get(character, character) for character in folded if character != " ")


def _cluster_end(text: str, start: int) -> int:
    """The end of the characters from ``start`` that NFKC composes or reorders together."""
    end = start + 1
    while end < len(text) and not text[end].isascii() and _is_other(text, end):
        follows = text[end]
        if not unicodedata.category(follows).startswith("M"):
            apart = unicodedata.normalize("NFKC", text[start:end]) + unicodedata.normalize("NFKC", follows)
            if unicodedata.normalize("NFKC", text[start : end + 1]) == apart:
                break
        end += 1
    return end


def _is_other(text: str, position: int) -> bool:
    match = _PIECE.match(text, position)
    return match is not None and match.lastgroup == "other"
