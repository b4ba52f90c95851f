"""Single sentences: evidence of a criterion, distractors that share its words, neutral filler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from redsm5.datamodules.synth.draw import Draw
from redsm5.datamodules.synth.grammar import Form, contract, expand, inflect
from redsm5.datamodules.synth.phrases import CriterionPhrases, Phrases

DistractorKind = Literal["other", "past", "negation", "idiom", "hypothetical", "quote", "advice"]
"""Why a sentence with the words of a criterion is no evidence of it."""

FillerKind = Literal["open", "plain", "close", "tiny", "special"]
"""Where neutral sentences stand; `special` are the sentences of SPECIAL_CASE rows."""

_EVIDENCE_WEIGHTS = {"plain": 50, "other": 14, "past": 11, "negation": 13, "hypothetical": 5, "quote": 4, "advice": 3}
_DISTRACTOR_WEIGHTS = {"other": 26, "past": 20, "negation": 22, "idiom": 14, "hypothetical": 7, "quote": 5, "advice": 6}
_OWN_NEGATION = 0.55
"""Share of negations in words of their own; the others deny a core of the criterion."""
_FORMS: dict[str, tuple[Form, bool]] = {
    "{F}": ("first", False),
    "{P}": ("past", False),
    "{Y}": ("second", False),
    "{T}": ("third", True),
    "{S}": ("third", False),
    "{Q}": ("third_past", False),
}
"""What a frame asks for: the form of the core and whether the person is named in it."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of a post, capitalised and with its terminator.

    ``criterion`` is the one whose words it uses (None for filler), ``evidence`` whether it is evidence of it, ``kind``
    the cue that it carries.
    """

    text: str
    criterion: str | None
    evidence: bool
    kind: str

    @property
    def words(self) -> int:
        """Number of words, as split at white space."""
        return len(self.text.split())


class SentenceMaker:
    """Makes sentences from phrases.

    Args:
        phrases: The phrases.
        draw: What chooses.
    """

    def __init__(self, phrases: Phrases, draw: Draw) -> None:
        self._phrases = phrases
        self._draw = draw

    def evidence(self, code: str) -> Sentence:
        """A sentence in which the writer tells of the criterion as their own and present."""
        kind = self._draw.weighted(list(_EVIDENCE_WEIGHTS), list(_EVIDENCE_WEIGHTS.values()))
        frame = self._draw.pick(self._phrases.evidence_frames[kind])
        return Sentence(self._framed(frame, self._phrases.criteria[code]), code, True, kind)

    def distractor(self, code: str, kind: DistractorKind | None = None) -> Sentence:
        """A sentence in the words of the criterion that is no evidence of it.

        Args:
            code: The criterion.
            kind: Why it is none; drawn if not given.

        Returns:
            The sentence.
        """
        drawn = kind or self._draw.weighted(get_args(DistractorKind), list(_kind_weights()))
        own = self._phrases.criteria[code]
        if drawn == "idiom":
            text = self._finish(expand(self._draw.pick(own.idiom), own.slots, self._draw))
        elif drawn == "negation" and self._draw.chance(_OWN_NEGATION):
            text = self._finish(expand(self._draw.pick(own.negation), own.slots, self._draw))
        else:
            text = self._framed(self._draw.pick(self._phrases.distractor_frames[drawn]), own)
        return Sentence(text, code, False, drawn)

    def filler(self, kind: FillerKind = "plain") -> Sentence:
        """A neutral sentence."""
        filler, slots = self._phrases.filler, self._phrases.slots
        template = self._draw.pick(filler[kind])
        if kind == "plain" and self._draw.chance(0.25):
            template = f"{self._draw.pick(filler['lead'])}, {template}"
        if kind == "plain" and self._draw.chance(0.2):
            template = f"{template}, {self._draw.pick(filler['tail'])}"
        return Sentence(self._finish(expand(template, slots, self._draw)), None, False, kind)

    def _framed(self, frame: str, own: CriterionPhrases) -> str:
        person = self._draw.pick(self._phrases.people)
        core = self._draw.pick(own.cores)
        text = frame.replace("{NP}", person.noun)
        for mark, (form, named) in _FORMS.items():
            if mark in text:
                clause = inflect(core, form, self._phrases.verbs, person, named=named)
                text = text.replace(mark, contract(clause) if self._draw.chance(0.85) else clause)
        return self._finish(expand(text, own.slots, self._draw))

    def _finish(self, text: str) -> str:
        """Capitalise and end a sentence."""
        end = "" if text[-1] in ".?!" else self._draw.weighted((".", "!", "..."), (94, 3, 3))
        return f"{text[0].upper()}{text[1:]}{end}"


def _kind_weights() -> tuple[int, ...]:
    return tuple(_DISTRACTOR_WEIGHTS[kind] for kind in get_args(DistractorKind))
