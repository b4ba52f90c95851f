"""Options of the coupling: what evidence tells the criteria head. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from redsm5.modules.coupling_layers import SpanCoupling

SpanPooling = Literal["mean", "max", "attention"]
Join = Literal["concat", "add", "mean", "weighted_sum", "weighted_mean"]


class Coupling(ABC):
    """What the criteria head reads beside the vector of a window."""

    @abstractmethod
    def build(self, hidden_size: int, n_outputs: int) -> SpanCoupling | None:
        """The coupling as a module; None where the heads are independent.

        Args:
            hidden_size: H, the width of the encoder.
            n_outputs: K, number of criteria in ``multi_label``, 1 in ``binary_pairs``.
        """

    def width(self, hidden_size: int) -> int:
        """The width of the vectors that come out.

        Args:
            hidden_size: H, that of the vectors that go in.
        """
        return hidden_size


@dataclass(frozen=True)
class Independent(Coupling):
    """Nothing: criteria and evidence share the encoder alone."""

    def build(self, hidden_size: int, n_outputs: int) -> None:
        """No module."""


@dataclass(frozen=True)
class EvidenceInformed(Coupling):
    """For each criterion the tokens that the evidence head holds for its evidence, joined to the window's vector."""

    pooling: SpanPooling = "mean"
    """How the tokens, each as likely as it is evidence, become one vector"""
    join: Join = "concat"
    """How that vector is joined to the window's; concat makes the input of the criteria head twice as wide"""

    def build(self, hidden_size: int, n_outputs: int) -> SpanCoupling:
        """The module that pools and joins."""
        from redsm5.modules.coupling_layers import SpanCoupling

        return SpanCoupling(hidden_size, n_outputs, pooling=self.pooling, join=self.join)

    def width(self, hidden_size: int) -> int:
        """Twice the width where the two are concatenated."""
        return 2 * hidden_size if self.join == "concat" else hidden_size
