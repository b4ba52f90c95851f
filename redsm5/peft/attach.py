"""Puts a method on an encoder, and takes it off again."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from redsm5.catalog import facts_of_config
from redsm5.peft.checks import refuse_misfit
from redsm5.peft.names import part_of

if TYPE_CHECKING:
    from peft import PeftConfig

    from redsm5.modules.encoder_model import EncoderModel
    from redsm5.peft.freezing import Freezing
    from redsm5.peft.options import PEFT

ADAPTER = "default"
"""PEFT's name for the only adapter of an encoder."""


def attach(encoder: EncoderModel, peft: PEFT, freezing: Freezing, *, id: str) -> None:
    """Put a method on an encoder, in place, and freeze what is to be frozen.

    With a method the encoder's own weights are frozen and what is added trains; ``encoder.model`` becomes PEFT's
    model, with ``save_pretrained``.

    Args:
        encoder: The encoder.
        peft: The method; NoPEFT leaves the encoder as it is.
        freezing: Which of the encoder's own weights are frozen.
        id: The encoder in messages.

    Raises:
        UserError: Method or freezing do not fit the encoder.
    """
    facts = facts_of_config(id, encoder.config.to_dict())
    refuse_misfit(peft, freezing, facts)
    config = peft.build(facts)
    if config is not None:
        _adapt(encoder, config)
    freezing.apply(encoder)


def _adapt(encoder: EncoderModel, config: PeftConfig) -> None:
    from peft import get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers for a field by its old name
        adapted: Any = get_peft_model(encoder.model, config, ADAPTER)
    # PEFT asks for gradients of the embeddings where checkpointing is on, which only the re-entrant kind needs; they
    # would flow through frozen layers.
    cast(Any, encoder.model).disable_input_require_grads()
    encoder.model = adapted
    encoder.train()


def merge(encoder: EncoderModel) -> None:
    """Fold what was added into the encoder's own weights, in place: it is the plain architecture again.

    Args:
        encoder: An encoder with a mergeable method on it.
    """
    encoder.model = cast(Any, encoder.model).merge_and_unload()


def base_state(encoder: EncoderModel) -> dict[str, Tensor]:
    """The encoder's own tensors under their plain names, as if nothing had been added.

    Args:
        encoder: An encoder with or without a method on it.
    """
    return {
        plain_name(name): tensor
        for name, tensor in encoder.state_dict().items()
        if part_of(name) is None and ".ranknum." not in name
    }


def plain_name(name: str) -> str:
    """The name that a tensor of an adapted encoder has in the plain one."""
    return name.replace("base_model.model.", "", 1).replace(".base_layer.", ".")
