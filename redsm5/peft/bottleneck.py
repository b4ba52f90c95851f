"""Bottleneck adapters: Pfeiffer, Houlsby, Compacter. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from redsm5.catalog import EncoderFacts
from redsm5.peft.options import (
    PEFT,
    check_at_least,
    check_probability,
    layers_misfit,
    size_misfit,
    unknown_misfit,
)
from redsm5.peft.targets import Layers, in_layers

if TYPE_CHECKING:
    from peft import PeftConfig

    from redsm5.peft.bottleneck_tuner import Mode


@dataclass(frozen=True)
class Pfeiffer(PEFT):
    """One adapter per layer, after its last "add and norm" (Pfeiffer et al. 2021, arXiv:2005.00247)."""

    bottleneck: int = 64
    """Width of the adapters; 32 to 192 is usual"""
    dropout: float = 0.0
    """Dropout inside the adapters"""
    layers: Layers = "all"
    """Layers that get them, counted from the top"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_at_least("bottleneck", self.bottleneck, 1)
        check_probability("dropout", self.dropout)

    def misfit(self, facts: EncoderFacts) -> str | None:
        """Why width or layers do not fit the encoder."""
        return _misfit(self, self._sites(facts), self.bottleneck, self.layers, facts)

    def build(self, facts: EncoderFacts) -> PeftConfig:
        """The config of our tuner."""
        from redsm5.peft.bottleneck_tuner import BottleneckConfig

        return BottleneckConfig(
            sites=_in_layers(self._sites(facts), facts, self.layers),
            bottleneck=self.bottleneck,
            dropout=self.dropout,
            activation="relu",
        )

    def _sites(self, facts: EncoderFacts) -> dict[Mode, tuple[str, ...]]:
        return {"norm": facts.architecture.sites.norm}


@dataclass(frozen=True)
class Houlsby(PEFT):
    """Two adapters per layer, on attention and on feed-forward block (Houlsby et al. 2019, arXiv:1902.00751)."""

    bottleneck: int = 64
    """Width of the adapters; 32 to 192 is usual"""
    dropout: float = 0.0
    """Dropout inside the adapters"""
    layers: Layers = "all"
    """Layers that get them, counted from the top"""
    parallel: bool = False
    """Beside attention and feed-forward block instead of behind them (He et al. 2022, arXiv:2110.04366)"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_at_least("bottleneck", self.bottleneck, 1)
        check_probability("dropout", self.dropout)

    def misfit(self, facts: EncoderFacts) -> str | None:
        """Why width or layers do not fit the encoder."""
        return _misfit(self, self._sites(facts), self.bottleneck, self.layers, facts)

    def build(self, facts: EncoderFacts) -> PeftConfig:
        """The config of our tuner."""
        from redsm5.peft.bottleneck_tuner import BottleneckConfig

        return BottleneckConfig(
            sites=_in_layers(self._sites(facts), facts, self.layers),
            bottleneck=self.bottleneck,
            dropout=self.dropout,
            activation="gelu",
        )

    def _sites(self, facts: EncoderFacts) -> dict[Mode, tuple[str, ...]]:
        sites = facts.architecture.sites
        return {"residual": sites.residual, "around": sites.around} if self.parallel else {"after": sites.after}


@dataclass(frozen=True)
class Compacter(PEFT):
    """Houlsby's adapters of shared, low-rank hypercomplex layers (Mahabadi et al. 2021, arXiv:2106.04647)."""

    bottleneck: int = 64
    """Width of the adapters; 32 to 192 is usual"""
    dropout: float = 0.0
    """Dropout inside the adapters"""
    layers: Layers = "all"
    """Layers that get them, counted from the top"""
    n: Literal[2, 4, 8] = 4
    """Kronecker products per matrix; divides bottleneck and hidden size"""
    rank: int = 1
    """Rank of their large factors"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_at_least("bottleneck", self.bottleneck, 1)
        if self.bottleneck % self.n:
            raise ValueError(f"bottleneck is {self.bottleneck}; it must be a multiple of n, {self.n}")
        check_probability("dropout", self.dropout)
        check_at_least("rank", self.rank, 1)

    def misfit(self, facts: EncoderFacts) -> str | None:
        """Why width, factors or layers do not fit the encoder."""
        if facts.hidden % self.n:
            return (
                f"n is {self.n}, which does not divide the hidden size of {facts.id}, {facts.hidden}; use a smaller n"
            )
        largest = self.bottleneck // self.n
        if self.rank > largest:
            return f"rank is {self.rank}, above bottleneck / n = {largest}, where it lowers no rank; use at most that"
        return _misfit(self, self._sites(facts), self.bottleneck, self.layers, facts)

    def build(self, facts: EncoderFacts) -> PeftConfig:
        """The config of our tuner."""
        from redsm5.peft.bottleneck_tuner import BottleneckConfig

        return BottleneckConfig(
            sites=_in_layers(self._sites(facts), facts, self.layers),
            bottleneck=self.bottleneck,
            dropout=self.dropout,
            activation="gelu",
            hypercomplex=self.n,
            rank=self.rank,
        )

    def _sites(self, facts: EncoderFacts) -> dict[Mode, tuple[str, ...]]:
        return {"after": facts.architecture.sites.after}


def _misfit(
    method: PEFT, sites: dict[Mode, tuple[str, ...]], bottleneck: int, layers: Layers, facts: EncoderFacts
) -> str | None:
    if not any(sites.values()):
        return unknown_misfit(method, facts)
    return size_misfit("bottleneck", bottleneck, facts) or layers_misfit(layers, facts)


def _in_layers(sites: dict[Mode, tuple[str, ...]], facts: EncoderFacts, layers: Layers) -> dict[str, Mode]:
    return {in_layers(modules, facts, layers): mode for mode, modules in sites.items() if modules}
