"""Low-rank methods: LoRA, LoRA+, AdaLoRA. Torch-free."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from redsm5.catalog import EncoderFacts
from redsm5.peft.options import (
    PEFT,
    check_at_least,
    check_probability,
    layers_misfit,
    size_misfit,
)
from redsm5.peft.targets import Layers, Targets, in_layers, linear_modules

if TYPE_CHECKING:
    import lightning.pytorch as pl
    from peft import PeftConfig
    from torch import Tensor

    from redsm5.modules.encoder_model import EncoderModel

Bias = Literal["none", "lora_only", "all"]


@dataclass(frozen=True)
class LoRA(PEFT):
    """A low-rank matrix added to linear layers, ``W + alpha / r * B A`` (Hu et al. 2022, arXiv:2106.09685)."""

    r: int = 8
    """Rank of the added matrices"""
    alpha: float = 16.0
    """Their scale is alpha / r"""
    dropout: float = 0.0
    """Dropout of what goes into the added matrices"""
    bias: Bias = "none"
    """Biases of the encoder that train too: none, those of the targets, or all"""
    targets: Targets = "query_value"
    """Linear layers that get one; "all" is attention and feed-forward block"""
    layers: Layers = "all"
    """Layers that get them, counted from the top"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_at_least("r", self.r, 1)
        _check_scale(self.alpha)
        check_probability("dropout", self.dropout)

    @property
    def mergeable(self) -> bool:
        """Yes."""
        return True

    def misfit(self, facts: EncoderFacts) -> str | None:
        """Why rank, targets or layers do not fit the encoder."""
        return size_misfit("r", self.r, facts) or _targets_misfit(self.targets, self.layers, facts)

    def build(self, facts: EncoderFacts) -> PeftConfig:
        """PEFT's LoraConfig."""
        from peft import LoraConfig

        return LoraConfig(
            r=self.r,
            # PEFT says int and only divides by it.
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            bias=self.bias,
            target_modules=in_layers(linear_modules(facts, self.targets), facts, self.layers),
        )


@dataclass(frozen=True)
class LoRAPlus(LoRA):
    """LoRA with a higher rate for B (Hayou et al. 2024, arXiv:2402.12354)."""

    ratio: float = 16.0
    """Rate of B over the rate of A"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        check_at_least("ratio", self.ratio, 1.0)
        if not math.isfinite(self.ratio):
            raise ValueError(f"ratio is {self.ratio}; it must be a finite number of at least 1")

    @property
    def lora_b_ratio(self) -> float:
        """The ratio."""
        return self.ratio


@dataclass(frozen=True)
class AdaLoRA(PEFT):
    """Low-rank matrices ``P diag(e) Q`` whose ranks move to where they matter (Zhang et al. 2023, arXiv:2303.10512)."""

    initial_r: int = 12
    """Rank of every matrix at the start"""
    target_r: int = 8
    """Mean rank at the end, below initial_r"""
    alpha: float = 16.0
    """Their scale is alpha / initial_r"""
    dropout: float = 0.0
    """Dropout of what goes into the added matrices"""
    bias: Bias = "none"
    """Biases of the encoder that train too: none, those of the targets, or all"""
    targets: Targets = "all"
    """Linear layers that get one; "all" is attention and feed-forward block"""
    layers: Layers = "all"
    """Layers that get them, counted from the top"""
    start: float = 0.1
    """Share of the optimizer steps before ranks begin to fall"""
    end: float = 0.7
    """Share of the optimizer steps at which they have reached the target"""
    interval: int = 10
    """Optimizer steps between two allocations"""
    orthogonality: float = 0.5
    """Weight in the loss of how far P and Q are from orthogonal"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_at_least("initial_r", self.initial_r, 2)
        if not 1 <= self.target_r < self.initial_r:
            raise ValueError(
                f"target_r is {self.target_r}; it must be at least 1 and below initial_r, {self.initial_r}"
            )
        _check_scale(self.alpha)
        check_probability("dropout", self.dropout)
        if not 0.0 <= self.start < self.end <= 1.0:
            raise ValueError(f"start is {self.start} and end is {self.end}; it must be 0 <= start < end <= 1")
        check_at_least("interval", self.interval, 1)
        if not (math.isfinite(self.orthogonality) and self.orthogonality >= 0):
            raise ValueError(f"orthogonality is {self.orthogonality}; it must be a finite number of at least 0")

    @property
    def mergeable(self) -> bool:
        """Yes."""
        return True

    def misfit(self, facts: EncoderFacts) -> str | None:
        """Why rank, targets or layers do not fit the encoder."""
        return size_misfit("initial_r", self.initial_r, facts) or _targets_misfit(self.targets, self.layers, facts)

    def build(self, facts: EncoderFacts) -> PeftConfig:
        """PEFT's AdaLoraConfig; the number of steps is set when training starts."""
        from peft import AdaLoraConfig

        return AdaLoraConfig(
            init_r=self.initial_r,
            target_r=self.target_r,
            lora_alpha=self.alpha,  # type: ignore[arg-type]
            lora_dropout=self.dropout,
            bias=self.bias,
            target_modules=in_layers(linear_modules(facts, self.targets), facts, self.layers),
            deltaT=self.interval,
            orth_reg_weight=self.orthogonality,
            total_step=1,
        )

    def penalty(self, encoder: EncoderModel) -> Tensor | None:
        """The weighted orthogonality term."""
        from redsm5.peft.adalora import orthogonality

        return self.orthogonality * orthogonality(encoder) if self.orthogonality else None

    def callbacks(self) -> list[pl.Callback]:
        """The callback that moves the ranks."""
        from redsm5.peft.adalora import RankAllocation

        return [RankAllocation(start=self.start, end=self.end)]


def _check_scale(alpha: float) -> None:
    if not (math.isfinite(alpha) and alpha > 0):
        raise ValueError(f"alpha is {alpha}; it must be a finite number above 0")


def _targets_misfit(targets: Targets, layers: Layers, facts: EncoderFacts) -> str | None:
    if not linear_modules(facts, targets):
        return (
            f"targets is {targets}, but such modules are not known in {facts.id} ({facts.family}); "
            "use query_key_value_output or all"
            if facts.attention_modules
            else f"targets is {targets}, but no modules are known in {facts.id} ({facts.family}); use NoPEFT"
        )
    return layers_misfit(layers, facts)
