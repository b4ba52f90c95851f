"""Single sentences: evidence of a criterion, distractors that share its words, neutral filler."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from redsm5.datamodules.synth.draw import Draw
from redsm5.datamodules.synth.grammar import Form, contract, expand, inflect
from redsm5.datamodules.synth.phrases import CriterionPhrases, Phrases

DistractorKind = Literal["other", "past", "negation", "idiom", "hypothetical", "quote", "advice"]
"""Why a sentence with the words of a criterion is no evidence of it."""

FillerKind = Literal["open", "plain", "close", "tiny", "special"]
"""Where neutral sentences stand; `special` are the sentences of SPECIAL_CASE rows."""

_EVIDENCE_WEIGHTS = {"plain": 22, "other": 15, "past": 14, "negation": 42, "hypothetical": 3, "quote": 2, "advice": 2}
_DISTRACTOR_WEIGHTS: dict[DistractorKind, int] = {
    "other": 20,
    "past": 18,
    "negation": 46,
    "idiom": 7,
    "hypothetical": 3,
    "quote": 3,
    "advice": 3,
}
_OWN_NEGATION = 0.5
"""Share of negations in words of their own; the others deny a core of the criterion."""
_SWAPPED = 0.8
"""Share of sentences with two clauses, of which one holds, where the kind has such frames."""
_FORMS: dict[str, tuple[Form, bool]] = {
    "F": ("first", False),
    "P": ("past", False),
    "Y": ("second", False),
    "T": ("third", True),
    "S": ("third", False),
    "Q": ("third_past", False),
}
"""What a mark of a frame asks for: the form of the clause and whether the person is named in it."""
_MARK = re.compile(r"\{(w?)([FPYTSQ])\}")


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
        self._evidence = {kind: w for kind, w in _EVIDENCE_WEIGHTS.items() if kind in phrases.evidence_frames}
        self._distractors: dict[DistractorKind, int] = {
            kind: w for kind, w in _DISTRACTOR_WEIGHTS.items() if kind in phrases.distractor_frames or kind == "idiom"
        }

    def evidence(self, code: str) -> Sentence:
        """A sentence in which the writer tells of the criterion as their own and present."""
        kind = self._draw.weighted(list(self._evidence), list(self._evidence.values()))
        swapped = self._phrases.swapped_frames.get(kind)
        frames = swapped if swapped and self._draw.chance(_SWAPPED) else self._phrases.evidence_frames[kind]
        return Sentence(self._framed(self._draw.pick(frames), self._phrases.criteria[code]), code, True, kind)

    def distractor(self, code: str, kind: DistractorKind | None = None) -> Sentence:
        """A sentence in the words of the criterion that is no evidence of it.

        Args:
            code: The criterion.
            kind: Why it is none; drawn if not given.

        Returns:
            The sentence.
        """
        kinds, weights = list(self._distractors), list(self._distractors.values())
        drawn: DistractorKind = self._draw.weighted(kinds, weights) if kind is None else kind
        own = self._phrases.criteria[code]
        swapped = self._phrases.swapped_frames.get(drawn)
        if drawn == "idiom":
            text = self._finish(expand(self._draw.pick(own.idiom), own.slots, self._draw))
        elif swapped and self._draw.chance(_SWAPPED):
            frame = _MARK.sub(lambda mark: f"{{{'' if mark[1] else 'w'}{mark[2]}}}", self._draw.pick(swapped))
            text = self._framed(frame, own)
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

        def clause(mark: re.Match[str]) -> str:
            form, named = _FORMS[mark[2]]
            core = self._draw.pick(own.wells if mark[1] else own.cores)
            text = inflect(core, form, self._phrases.verbs, person, named=named)
            return contract(text) if self._draw.chance(0.85) else text

        return self._finish(expand(_MARK.sub(clause, frame.replace("{NP}", person.noun)), own.slots, self._draw))

    def _finish(self, text: str) -> str:
        """Capitalise and end a sentence."""
        end = "" if text[-1] in ".?!" else self._draw.weighted((".", "!", "..."), (94, 3, 3))
        return f"{text[0].upper()}{text[1:]}{end}"
