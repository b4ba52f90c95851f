"""The wrapper that the family of a transformers encoder needs."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

from redsm5.modules.encoder_model import EncoderModel
from redsm5.modules.encoder_sparse import BigBirdEncoder, LongformerEncoder

_WRAPPERS: dict[str, type[EncoderModel]] = {"longformer": LongformerEncoder, "big_bird": BigBirdEncoder}


def wrap(model: PreTrainedModel, *, gradient_checkpointing: bool = False) -> EncoderModel:
    """A bare transformers encoder behind our interface.

    It comes back in training mode: transformers hands out evaluation mode, Lightning keeps the mode it finds, and the
    encoder would be trained without dropout.

    Args:
        model: A bare transformers encoder.
        gradient_checkpointing: Recompute activations of each layer in the backward pass.
    """
    if gradient_checkpointing:
        enable: Any = model.gradient_checkpointing_enable
        enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return _WRAPPERS.get(model.config.model_type, EncoderModel)(model).train()
