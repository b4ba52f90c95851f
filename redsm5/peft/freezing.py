"""Options of freezing: which of the encoder's own weights stay as they are. Torch-free.

Pooling, aggregation and heads always train. A pooler of the checkpoint is never loaded: there is none to train.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from redsm5.catalog import EncoderFacts
from redsm5.peft.options import PEFT, NoPEFT

if TYPE_CHECKING:
    from redsm5.modules.encoder_model import EncoderModel


class Freezing(ABC):
    """Which of the encoder's own weights stay as they are."""

    @abstractmethod
    def misfit(self, facts: EncoderFacts | None, peft: PEFT) -> str | None:
        """Why it cannot be, beginning with the field at fault; None if it can.

        Args:
            facts: The encoder, None where it is not known yet.
            peft: The method on it.
        """

    @abstractmethod
    def apply(self, encoder: EncoderModel) -> None:
        """Freeze, in place.

        Args:
            encoder: The encoder, with its method on it.
        """


@dataclass(frozen=True)
class NoFreezing(Freezing):
    """The whole encoder trains; with PEFT, what was added to it."""

    def misfit(self, facts: EncoderFacts | None, peft: PEFT) -> str | None:
        """None: it goes with everything."""
        return None

    def apply(self, encoder: EncoderModel) -> None:
        """Freeze nothing."""


@dataclass(frozen=True)
class BottomLayers(Freezing):
    """The embeddings and the first layers stay as they are."""

    n: int = 2
    """Layers from the bottom; 0 for the embeddings alone"""
    train_norms: bool = False
    """Train the layer norms among them all the same"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.n < 0:
            raise ValueError(f"n is {self.n}; it must be at least 0")

    def misfit(self, facts: EncoderFacts | None, peft: PEFT) -> str | None:
        """Why the encoder has not so many layers, or PEFT leaves nothing to freeze."""
        if not isinstance(peft, NoPEFT):
            name = type(peft).__name__
            return (
                f"class_path is BottomLayers, but {name} freezes the whole encoder; "
                "set model.peft.layers to top_4 or top_8 instead"
            )
        if facts is not None and self.n >= facts.layers:
            return f"n is {self.n}, but {facts.id} has {facts.layers} layers; use a smaller one, or WholeEncoder"
        return None

    def apply(self, encoder: EncoderModel) -> None:
        """Freeze all but the upper layers and the norm behind them.

        What the layers share, such as DeBERTa's relative positions, is frozen with the embeddings.
        """
        from redsm5.peft.freeze import freeze_all_but, unfreeze_norms

        freeze_all_but(encoder, encoder.layers[self.n :])
        if self.train_norms:
            unfreeze_norms(encoder)


@dataclass(frozen=True)
class WholeEncoder(Freezing):
    """The encoder stays as it is; with PEFT this is so anyway, and what was added trains."""

    train_norms: bool = False
    """Train its layer norms all the same, as Houlsby et al. 2019 do beside their adapters"""

    def misfit(self, facts: EncoderFacts | None, peft: PEFT) -> str | None:
        """None: it goes with everything."""
        return None

    def apply(self, encoder: EncoderModel) -> None:
        """Freeze all of the encoder's own weights."""
        from redsm5.peft.freeze import freeze_all_but, unfreeze_norms

        freeze_all_but(encoder, [])
        if self.train_norms:
            unfreeze_norms(encoder)
