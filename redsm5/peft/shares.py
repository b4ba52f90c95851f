"""How many parameters each method trains, counted on encoders without weights."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch

from redsm5.catalog import EncoderFacts
from redsm5.modules.encoder_model import EncoderModel
from redsm5.modules.encoder_weights import config_of_facts, from_config
from redsm5.peft.attach import attach
from redsm5.peft.freezing import NoFreezing
from redsm5.peft.methods import METHODS
from redsm5.peft.options import PEFT, NoPEFT


def trainable(facts: EncoderFacts) -> tuple[int, dict[str, int]]:
    """Parameters of an encoder, and how many of the encoder's each method trains at its defaults.

    Counted with one layer and with two, and continued to all: every layer is like the last.

    Args:
        facts: An encoder of a known family.

    Returns:
        All parameters of the bare encoder, and the trained ones by name of the method, NoPEFT left out.
    """
    one, two = (parameters(replace(facts, layers=layers)) for layers in (1, 2))
    architecture = replace(facts, id="", vocabulary=100)  # what methods add does not depend on the vocabulary
    counts = {
        method.__name__: _continued(
            added(replace(architecture, layers=1), method()), added(replace(architecture, layers=2), method()), facts
        )
        for method in METHODS
        if method is not NoPEFT
    }
    return _continued(one, two, facts), counts


def parameters(facts: EncoderFacts) -> int:
    """Parameters of a bare encoder as we load it, without a pooler."""
    return sum(p.numel() for p in _empty(facts).parameters())


@cache
def added(facts: EncoderFacts, method: PEFT) -> int:
    """Trained parameters of an encoder with a method on it."""
    encoder = _empty(facts)
    with torch.device("meta"):
        attach(encoder, method, NoFreezing(), id=facts.id)
    return sum(p.numel() for p in encoder.parameters() if p.requires_grad)


def _continued(one: int, two: int, facts: EncoderFacts) -> int:
    return one + (two - one) * (facts.layers - 1)


def _empty(facts: EncoderFacts) -> EncoderModel:
    with torch.device("meta"):
        return EncoderModel(from_config(config_of_facts(facts)))
