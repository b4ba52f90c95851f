"""Where synonyms come from, and words that no augmentation touches."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib import import_module, resources
from typing import Any, Literal

from redsm5.errors import UserError

Lookup = Callable[[str], tuple[str, ...]]
"""From a word in lower case to its synonyms, none where it has none."""


def synonyms_of(source: Literal["bundled", "wordnet"]) -> Lookup:
    """The synonyms of a source.

    Raises:
        UserError: WordNet is not there.
    """
    return _bundled if source == "bundled" else _wordnet()


@cache
def protected_words() -> frozenset[str]:
    """Words in lower case that carry what a criterion is about, or turn it round: they never change."""
    return frozenset(word for words in _lists()["protected"].values() for word in words)


@cache
def _lists() -> dict[str, Any]:
    text = resources.files("redsm5.datamodules").joinpath("words.json").read_text(encoding="utf-8")
    lists: dict[str, Any] = json.loads(text)
    return lists


@cache
def _groups() -> dict[str, tuple[str, ...]]:
    return {word: tuple(other for other in group if other != word) for group in _lists()["synonyms"] for word in group}


def _bundled(word: str) -> tuple[str, ...]:
    return _groups().get(word, ())


def _wordnet() -> Lookup:
    """Single words that share a sense with a word, its commonest sense first; nothing is downloaded."""
    try:
        wordnet: Any = import_module("nltk.corpus").wordnet
    except ImportError:
        raise UserError(
            "data.augmentation.source is wordnet, which needs nltk; pip install nltk, or use bundled"
        ) from None
    try:
        wordnet.ensure_loaded()
    except LookupError:
        raise UserError(
            "data.augmentation.source is wordnet, but nltk has no WordNet here; run python -m nltk.downloader wordnet, "
            "or use bundled"
        ) from None

    @cache
    def lookup(word: str) -> tuple[str, ...]:
        names = (name.lower() for sense in wordnet.synsets(word)[:1] for name in sense.lemma_names())
        return tuple(dict.fromkeys(name for name in names if name.isalpha() and name != word))

    return lookup
