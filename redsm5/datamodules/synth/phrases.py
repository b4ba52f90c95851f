"""The phrases of the synthetic corpus: package data, read once and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

CRITERIA = (
    "DEPRESSED_MOOD",
    "ANHEDONIA",
    "APPETITE_CHANGE",
    "SLEEP_ISSUES",
    "PSYCHOMOTOR",
    "FATIGUE",
    "WORTHLESSNESS",
    "COGNITIVE_ISSUES",
    "SUICIDAL_THOUGHTS",
)
"""The codes in the order of the default criteria; each has a file of phrases."""

FEW = 5
"""Clauses of a criterion in the short profile."""

Slots = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody else: how a sentence names them first, and the pronouns after that."""

    noun: str
    subject: str
    object: str
    possessive: str
    reflexive: str


@dataclass(frozen=True, slots=True)
class CriterionPhrases:
    """The phrases of one criterion.

    ``cores`` are clauses in the notation of ``grammar``, ``wells`` their opposites; ``negation`` and ``idiom`` are
    whole sentences that use the criterion's words and are not evidence.
    """

    slots: Slots
    cores: tuple[str, ...]
    wells: tuple[str, ...]
    negation: tuple[str, ...]
    idiom: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Phrases:
    """All phrases.

    ``evidence_frames`` and ``distractor_frames`` are frames by the cue that they carry, ``swapped_frames`` those of
    evidence that make a distractor when core and well are exchanged; ``filler`` are neutral sentences by their place in
    a post; ``verbs`` are (first person, third person, past).
    """

    verbs: Mapping[str, tuple[str, str, str]]
    people: tuple[Person, ...]
    slots: Slots
    evidence_frames: Mapping[str, tuple[str, ...]]
    distractor_frames: Mapping[str, tuple[str, ...]]
    swapped_frames: Mapping[str, tuple[str, ...]]
    filler: Mapping[str, tuple[str, ...]]
    criteria: Mapping[str, CriterionPhrases]


def _read(name: str) -> dict[str, Any]:
    text = files(__package__).joinpath("data", f"{name}.yaml").read_text(encoding="utf-8")
    loaded = yaml.safe_load(text)
    if not isinstance(loaded, dict):
        raise TypeError(f"data/{name}.yaml must be a mapping")
    return loaded


def _lists(mapping: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Lists of phrases by name; a phrase that YAML does not take for a string is a slip in the file."""
    for name, items in mapping.items():
        if not items or not all(isinstance(item, str) for item in items):
            raise TypeError(f"{name!r} must be a list of strings: quote what YAML takes for something else")
    return {name: tuple(items) for name, items in mapping.items()}


@cache
def load_phrases() -> Phrases:
    """The packaged phrases.

    Returns:
        The phrases, the same object at every call.

    Raises:
        TypeError: A file is not in the shape that it should have.
    """
    shared, frames, filler = _read("shared"), _read("frames"), _read("filler")
    slots = _lists(shared["slots"]) | _lists(filler.pop("slots"))
    criteria: dict[str, CriterionPhrases] = {}
    for code in CRITERIA:
        own = _read(code.lower())
        lists = _lists({name: own[name] for name in ("cores", "wells", "negation", "idiom")})
        criteria[code] = CriterionPhrases(slots=slots | _lists(own["slots"]), **lists)
    return Phrases(
        verbs={name: (forms[0], forms[1], forms[2]) for name, forms in _lists(shared["verbs"]).items()},
        people=tuple(Person(*person) for person in shared["people"]),
        slots=slots,
        evidence_frames=_lists(frames["evidence"]),
        distractor_frames=_lists(frames["distractor"]),
        swapped_frames=_lists(frames["swapped"]),
        filler=_lists(filler),
        criteria=criteria,
    )


def few(phrases: Phrases) -> Phrases:
    """A handful of the phrases, in plain sentences: what a hundred posts can teach an encoder that has read nothing."""
    frames, denied = phrases.evidence_frames["plain"], phrases.distractor_frames["negation"]
    return replace(
        phrases,
        evidence_frames={"plain": frames[:1]},
        distractor_frames={"negation": denied[:2]},
        swapped_frames={},
        criteria={
            code: replace(own, cores=own.cores[:FEW], negation=own.negation[:2], idiom=own.idiom[:2])
            for code, own in phrases.criteria.items()
        },
    )
