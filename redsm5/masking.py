"""What never stands in a log: secrets, and the text of posts."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence

MASK = "***"
_SECRET = re.compile(r"TOKEN|API_?KEY|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_PATTERNS = (
    # https://user:password@host, https://token@host; a password may hold an @ itself
    (re.compile(r"(://)[^/\s\"'<>]+@"), rf"\1{MASK}@"),
    (re.compile(r"\b(Bearer|Authorization:\s*\w+)\s+[\w.~+/=-]{6,}", re.IGNORECASE), rf"\1 {MASK}"),
    (
        re.compile(
            r"((?:api[_-]?key|password|passwd|secret|credential|access[_-]?token|auth[_-]?token|hf[_-]token)\w{0,20}"
            r"|\btoken|[?&](?:key|sig|signature|auth))(['\"]?\s{0,4}[=:]\s{0,4}['\"]?)(?!\*)[^\s&'\",;)}\]]{4,}",
            re.IGNORECASE,
        ),
        rf"\1\2{MASK}",
    ),
    (re.compile(r"\b(?:hf|api_org)_[A-Za-z0-9]{8,}"), f"hf_{MASK}"),
    (re.compile(r"\b(?:sk-|gh[pousr]_|github_pat_|AKIA|xox[a-z]-|glpat-)[\w-]{12,}"), MASK),
    (re.compile(r"[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+"), f"{MASK}@{MASK}"),
)
# An apostrophe within a word opens and closes nothing; what is not closed was cut, and is withheld to its end.
_QUOTED = re.compile(r"(?<!\w)(['\"])((?:\\.|(?!\1(?!\w))[^\\])*+)(?:\1|\\?\Z)", re.DOTALL)
WORDS_OF_PROSE = 3
"""What is quoted and has as many words may be text of a post."""
WORDS_OF_A_POST = 4
"""So many words in a row that stand in a post are taken to come from it."""

_posts: Callable[[], Iterable[str]] = tuple


def posts_are(posts: Callable[[], Iterable[str]]) -> None:
    """From now on ``without_posts`` knows the posts; they are asked for when there is something to check."""
    global _posts
    _posts = posts


def secrets_of_environment() -> tuple[str, ...]:
    """Values of the environment's variables that are secrets by their names, the longest first."""
    values = (value for name, value in os.environ.items() if _SECRET.search(name) and len(value) >= 8)
    return tuple(sorted(values, key=len, reverse=True))


def masked(text: str, secrets: Sequence[str] | None = None) -> str:
    """A text without hub tokens, bearers, keys, passwords in URLs, e-mail addresses, and secrets of the environment.

    Args:
        text: It.
        secrets: Of ``secrets_of_environment``, where they were read for many texts at once; by default they are read.
    """
    for value in secrets_of_environment() if secrets is None else secrets:
        text = text.replace(value, MASK)
    for pattern, mask in _PATTERNS:
        text = pattern.sub(mask, text)
    return text


def without_posts(text: str) -> str:
    """A message of foreign code without what may come from a post: quoted prose, and runs of words of known posts."""
    return without_known_posts(_QUOTED.sub(_prose_withheld, text))


def without_known_posts(text: str) -> str:
    """A text without the runs of words that stand in a known post."""
    words = list(re.finditer(r"\w+", text))
    runs: dict[tuple[str, ...], list[int]] = {}
    for i, run in enumerate(_runs([word[0] for word in words])):
        runs.setdefault(run, []).append(i)
    hidden: set[int] = set()
    for post in _posts() if runs else ():
        for run in runs.keys() & set(_runs(re.findall(r"\w+", post))):
            for start in runs[run]:
                hidden.update(range(start, start + WORDS_OF_A_POST))
    for i in sorted(hidden, reverse=True):
        start = words[i].start()
        end = words[i + 1].start() if i + 1 in hidden else words[i].end()
        text = text[:start] + ("" if i - 1 in hidden else "<words of a post>") + text[end:]
    return text


def _runs(words: list[str]) -> Iterable[tuple[str, ...]]:
    folded = [word.casefold() for word in words]
    return zip(*(folded[i:] for i in range(WORDS_OF_A_POST)), strict=False)


def _prose_withheld(match: re.Match[str]) -> str:
    quote, quoted = match[1], match[2]
    if len(quoted.split()) < WORDS_OF_PROSE:
        return match[0]
    return f"{quote}<{len(quoted)} characters>{quote}"
