"""Sentences put together to posts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from redsm5.datamodules.synth.draw import Draw
from redsm5.datamodules.synth.marginals import PostPlan
from redsm5.datamodules.synth.noise import Style
from redsm5.datamodules.synth.sentences import Sentence, SentenceMaker

_TRIES = 6
_PARAGRAPH_FROM = 90
"""Posts longer than this many words have paragraphs."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A sentence of a post that its plan asked for.

    ``index`` counts the sentences of the post from 0, ``text`` is what the post holds, ``annotated`` whether an expert
    judged it; SPECIAL_CASE sentences are annotated and have no criterion.
    """

    index: int
    text: str
    sentence: Sentence
    annotated: bool


def compose(plan: PostPlan, maker: SentenceMaker, style: Style, draw: Draw) -> tuple[str, list[Placed]]:
    """Write a post.

    Args:
        plan: What it holds.
        maker: Makes the sentences.
        style: How its author types.
        draw: What chooses.

    Returns:
        The text, and the sentences that the plan asked for in their order.
    """
    asked = [
        (sentence, True) for code, count in plan.evidence.items() for sentence in _distinct(maker, code, count, plan)
    ]
    asked += [(_short(partial(maker.distractor, code), plan), True) for code in plan.hard_negatives]
    asked += [(_short(partial(maker.distractor, code), plan), False) for code in plan.distractors]
    asked += [(maker.filler("special"), True) for _ in range(plan.special)]
    missing = plan.words - sum(sentence.words for sentence, _ in asked)
    filler = [(sentence, False) for sentence in _fill(missing, len(asked), maker, draw)]

    body = draw.shuffled([*asked, *(item for item in filler if item[0].kind not in ("open", "close"))])
    first = [item for item in filler if item[0].kind == "open"]
    last = [item for item in filler if item[0].kind == "close"]
    ordered = [*first, *body, *last]

    parts: list[str] = []
    placed: list[Placed] = []
    for index, (sentence, annotated) in enumerate(ordered):
        text = style.apply(sentence.text)
        if index:
            parts.append("\n\n" if plan.words > _PARAGRAPH_FROM and draw.chance(0.15) else style.gap)
        parts.append(text)
        if annotated or sentence.criterion is not None:
            placed.append(Placed(index, text, sentence, annotated))
    return "".join(parts), placed


def _short(make: Callable[[], Sentence], plan: PostPlan) -> Sentence:
    """A sentence of at most the plan's words, or the shortest of a few."""
    sentence = make()
    if plan.longest is None:
        return sentence
    for _ in range(_TRIES):
        if sentence.words <= plan.longest:
            break
        sentence = min(sentence, make(), key=lambda made: made.words)
    return sentence


def _distinct(maker: SentenceMaker, code: str, count: int, plan: PostPlan) -> list[Sentence]:
    """Evidence sentences that differ from each other: a text twice in a post has no single place."""
    found: dict[str, Sentence] = {}
    while len(found) < count:
        sentence = _short(partial(maker.evidence, code), plan)
        found.setdefault(sentence.text, sentence)
    return list(found.values())


def _fill(words: int, others: int, maker: SentenceMaker, draw: Draw) -> list[Sentence]:
    """Neutral sentences of about this many words; at least one where nothing else is in the post."""
    chosen: list[Sentence] = []
    if words > 25:
        for kind, probability in (("open", 0.35), ("close", 0.35)):
            if draw.chance(probability):
                sentence = maker.filler("open" if kind == "open" else "close")
                chosen.append(sentence)
                words -= sentence.words
    while words > 3 or (not others and not chosen):
        # Of a few, the one that overshoots least: the length of a short post counts to the word.
        tries = [maker.filler("tiny" if words <= 5 else "plain") for _ in range(_TRIES if words < 15 else 1)]
        best = min(tries, key=lambda sentence: max(sentence.words - words, 0) * 2 + max(words - sentence.words, 0))
        chosen.append(best)
        words -= best.words
    return chosen
