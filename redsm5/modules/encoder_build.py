"""The wrapper that the family of a transformers encoder needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from torch import nn
from transformers import PreTrainedModel

from redsm5.modules.encoder import Encoder
from redsm5.modules.encoder_model import EncoderModel
from redsm5.modules.encoder_sparse import BigBirdEncoder, LongformerEncoder

_WRAPPERS: dict[str, type[EncoderModel]] = {"longformer": LongformerEncoder, "big_bird": BigBirdEncoder}


@dataclass(frozen=True)
class BuiltEncoder:
    """An encoder that is built already, in place of the option that builds one: its fields, and its ``build``.

    It is no ``Encoder``, or a config could name it: whatever stands under an option's class is a variant of it.
    """

    id: str
    model: nn.Module
    revision: str | None = None
    gradient_checkpointing: bool = False
    hidden_dropout: float | None = None
    attention_dropout: float | None = None
    random_weights: bool = True

    def build(self) -> Any:
        """What it is."""
        return self.model


def built(id: str, model: nn.Module) -> Encoder:
    """An encoder that is built already, as an option.

    Args:
        id: Its name in messages.
        model: The encoder.
    """
    return cast(Encoder, BuiltEncoder(id, model))


def wrap(model: PreTrainedModel, *, gradient_checkpointing: bool = False) -> EncoderModel:
    """A bare transformers encoder behind our interface.

    It comes back in training mode: transformers hands out evaluation mode, Lightning keeps the mode it finds, and the
    encoder would be trained without dropout.

    Args:
        model: A bare transformers encoder.
        gradient_checkpointing: Recompute activations of each layer in the backward pass.
    """
    if gradient_checkpointing:
        _checkpoint(model)
    return _WRAPPERS.get(model.config.model_type, EncoderModel)(model).train()


def _checkpoint(model: Any) -> None:
    model.config.use_cache = False  # of decoders; left on it only brings a warning
    arguments = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=arguments)
    else:  # its name in the older releases of transformers 5
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=arguments)
    # Only re-entrant checkpointing needs inputs with gradients; here they would send gradients through frozen layers.
    model.disable_input_require_grads()
