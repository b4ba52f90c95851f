"""(IA)³. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redsm5.catalog import EncoderFacts
from redsm5.peft.options import PEFT, layers_misfit, unknown_misfit
from redsm5.peft.targets import Layers, in_layers

if TYPE_CHECKING:
    from peft import PeftConfig


@dataclass(frozen=True)
class IA3(PEFT):
    """Factors on keys, values and the inside of the feed-forward block (Liu et al. 2022, arXiv:2205.05638)."""

    ffn: bool = True
    """Whether the feed-forward block gets factors too"""
    layers: Layers = "all"
    """Layers that get them, counted from the top"""

    @property
    def mergeable(self) -> bool:
        """Yes."""
        return True

    def misfit(self, facts: EncoderFacts) -> str | None:
        """Why modules or layers do not fit the encoder."""
        if not facts.architecture.key:
            return unknown_misfit(self, facts)
        return layers_misfit(self.layers, facts)

    def build(self, facts: EncoderFacts) -> PeftConfig:
        """PEFT's IA3Config."""
        from peft import IA3Config

        names = facts.architecture
        # The layer that leads out of the feed-forward block: its inputs are the inside.
        inside = (names.ffn_modules[-1],) if self.ffn else ()
        return IA3Config(
            target_modules=in_layers((names.key, names.value, *inside), facts, self.layers),
            feedforward_modules=in_layers(inside, facts, self.layers) if inside else [],
        )
