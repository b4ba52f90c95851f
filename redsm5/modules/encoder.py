"""The encoder as an option: which weights, and how they are run. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redsm5.errors import UserError

if TYPE_CHECKING:
    from redsm5.modules.encoder_model import EncoderModel


@dataclass(frozen=True)
class Encoder:
    """A pretrained text encoder."""

    id: str
    """Hub id (`redsm5 models` lists thirty; others work too) or local folder"""
    revision: str | None = None
    """Branch, tag or commit on the hub; its main branch if not given"""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a quarter slower"""
    hidden_dropout: float | None = None
    """Dropout of hidden states, in [0, 1); the encoder's own if not given"""
    attention_dropout: float | None = None
    """Dropout of attention probabilities, in [0, 1); the encoder's own if not given"""
    random_weights: bool = False
    """Build the architecture with random weights, for tests and for measuring memory"""

    def __post_init__(self) -> None:
        """Refuse what no encoder can have."""
        if not self.id.strip():
            raise ValueError("id is empty; it must be a hub id such as google-bert/bert-base-uncased, or a folder")
        for name in ("hidden_dropout", "attention_dropout"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < 1.0:
                raise ValueError(f"{name} is {value}; it must be at least 0 and below 1")

    def refuse_checkpointing(self, family: str, known: bool) -> None:
        """Refuse gradient checkpointing where transformers has none.

        Args:
            family: transformers' ``model_type``.
            known: Whether it has it for this family.

        Raises:
            UserError: It is asked for and not there.
        """
        if self.gradient_checkpointing and not known:
            raise UserError(
                f"model.encoder.gradient_checkpointing is true, but transformers has none for {family}, the family of "
                f"{self.id}; set it to false"
            )

    def build(self) -> EncoderModel:
        """The encoder with its weights in float32, in training mode.

        Raises:
            UserError: It cannot be found, read or run as asked, or its file lacks weights.
        """
        from redsm5.modules.encoder_build import wrap
        from redsm5.modules.encoder_weights import load

        return wrap(load(self), gradient_checkpointing=self.gradient_checkpointing)
