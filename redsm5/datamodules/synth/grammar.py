"""The notation of the phrases: slots, persons and tenses.

- ``{slot}`` stands for one of the slot's alternatives, which may hold slots themselves.
- ``@I @my @me @myself`` follow the person.
- ``@verb`` is looked up among the verbs, ``[have|has|had]`` gives (first person, third person, past) by hand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from redsm5.datamodules.synth.draw import Draw
from redsm5.datamodules.synth.phrases import Person, Slots

Form = Literal["first", "second", "third", "past", "third_past"]
"""Who and when: I now, you now, somebody else now, I then, somebody else then."""

_SLOT = re.compile(r"\{(\w+)\}")
_MARK = re.compile(r"@(I|myself|my|me)\b|@([a-z]+(?:_[a-z]+)?(?:'t)?)|\[([^|\]]*)\|([^|\]]*)\|([^|\]]*)\]")
_FIRST = {"I": "I", "my": "my", "me": "me", "myself": "myself"}
_SECOND = {"I": "you", "my": "your", "me": "you", "myself": "yourself"}
_TENSE = {"first": 0, "second": 0, "third": 1, "past": 2, "third_past": 2}
_SECOND_VERBS = {"am": "are", "was": "were"}
_HAVE = re.compile(r"\b(I|you) have (?=(?:been|lost|gained|stopped|quit|caught|put|died|no longer)\b)")
_AM = re.compile(r"\bI am (?=\w)")


def expand(template: str, slots: Slots, draw: Draw) -> str:
    """Fill every slot, and the slots of what was filled in.

    Args:
        template: Text with slots.
        slots: Alternatives by name.
        draw: What chooses.

    Returns:
        Text without slots.

    Raises:
        KeyError: A slot has no alternatives.
    """
    while _SLOT.search(template):
        template = _SLOT.sub(lambda match: draw.pick(slots[match[1]]), template)
    return template


def inflect(
    core: str,
    form: Form,
    verbs: Mapping[str, tuple[str, str, str]],
    person: Person | None = None,
    *,
    named: bool = False,
) -> str:
    """Put a core into a person and a tense.

    Args:
        core: A clause in the notation.
        form: Person and tense.
        verbs: (First person, third person, past) by name.
        person: Who it is, for the third person.
        named: Whether the first mention is the noun ("my sister") and not a pronoun.

    Returns:
        The clause without marks; slots stay.

    Raises:
        KeyError: A verb that is not in ``verbs``.
    """
    tense = _TENSE[form]
    to_name = named

    def replace(match: re.Match[str]) -> str:
        nonlocal to_name
        if match[1]:
            if form in ("third", "third_past"):
                assert person is not None
                word, to_name = _third(match[1], person, to_name), False
                return word
            return (_SECOND if form == "second" else _FIRST)[match[1]]
        forms = verbs[match[2]] if match[2] else (match[3], match[4], match[5])
        return _SECOND_VERBS.get(forms[tense], forms[tense]) if form == "second" else forms[tense]

    return _MARK.sub(replace, core)


def _third(mark: str, person: Person, named: bool) -> str:
    if named and mark != "myself":
        return f"{person.noun}'s" if mark == "my" else person.noun
    return {"I": person.subject, "my": person.possessive, "me": person.object, "myself": person.reflexive}[mark]


def contract(text: str) -> str:
    """Contract "I am" and "I have" where English does: "I'm tired", but "how I am"."""
    return _AM.sub("I'm ", _HAVE.sub(r"\1've ", text))
