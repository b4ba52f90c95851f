"""Options of parameter-efficient fine-tuning: what is trained in place of the encoder. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redsm5.catalog import EncoderFacts
from redsm5.peft.targets import Layers, top_layers

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from peft import PeftConfig
    from torch import Tensor

    from redsm5.modules.encoder_model import EncoderModel


class PEFT(ABC):
    """What is trained of the encoder: all of it, or a few weights that are added to it."""

    @property
    def mergeable(self) -> bool:
        """Whether the trained weights can be folded into those of the encoder."""
        return False

    @property
    def lora_b_ratio(self) -> float:
        """The rate of LoRA's B matrices over that of the other added weights."""
        return 1.0

    @abstractmethod
    def misfit(self, facts: EncoderFacts) -> str | None:
        """Why it cannot be put on an encoder, beginning with the field at fault; None if it can.

        Args:
            facts: The encoder.
        """

    @abstractmethod
    def build(self, facts: EncoderFacts) -> PeftConfig | None:
        """The config for the PEFT library; None where nothing is added.

        Args:
            facts: The encoder.
        """

    def penalty(self, encoder: EncoderModel) -> Tensor | None:
        """A term of the training loss, or None.

        Args:
            encoder: The encoder with what was added.
        """
        return None

    def callbacks(self) -> list[pl.Callback]:
        """What has to happen while it trains."""
        return []


@dataclass(frozen=True)
class NoPEFT(PEFT):
    """The encoder itself is trained, or what `freezing` leaves of it."""

    def misfit(self, facts: EncoderFacts) -> str | None:
        """None: it fits any encoder."""
        return None

    def build(self, facts: EncoderFacts) -> PeftConfig | None:
        """None: nothing is added."""
        return None


def layers_misfit(layers: Layers, facts: EncoderFacts) -> str | None:
    """Why an encoder has not so many layers; None if it has."""
    top = top_layers(layers)
    if top is None or top <= facts.layers:
        return None
    return f"layers is {layers}, but {facts.id} has {facts.layers} layers; use all"


def unknown_misfit(method: PEFT, facts: EncoderFacts) -> str:
    """The sentence for a family in which a method finds no modules."""
    name = type(method).__name__
    return (
        f"class_path is {name}, but the modules that {name} needs are not known in {facts.id} ({facts.family}); "
        "use another method, or NoPEFT"
    )


def size_misfit(field: str, value: int, facts: EncoderFacts) -> str | None:
    """Why a size does not fit into the hidden size; None if it does."""
    if value <= facts.hidden:
        return None
    return f"{field} is {value}, but the hidden size of {facts.id} is {facts.hidden}; use at most that"


def check_at_least(field: str, value: float, least: float) -> None:
    """Raise a ValueError that names the field where a value is too small."""
    if not value >= least:
        raise ValueError(f"{field} is {value}; it must be at least {least}")


def check_probability(field: str, value: float) -> None:
    """Raise a ValueError that names the field where a value is no dropout probability."""
    if not 0.0 <= value < 1.0:
        raise ValueError(f"{field} is {value}; it must be at least 0 and below 1")
