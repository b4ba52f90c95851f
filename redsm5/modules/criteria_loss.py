"""Options of the criteria loss. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn


class CriteriaLoss(ABC):
    """How criteria logits are compared with labels."""

    @abstractmethod
    def build(self, positive_rates: Sequence[float]) -> nn.Module:
        """The module: (logits [E, K], labels [E, K], criterion int64 [E]) -> loss per example [E].

        Args:
            positive_rates: Per criterion, the share of positives among the *training* examples, 0 to 1.
        """


@dataclass(frozen=True)
class BCE(CriteriaLoss):
    """Binary cross-entropy per criterion."""

    pos_weight: Literal["none", "sqrt", "balanced"] = "none"
    """Weight of positives: none (1), balanced (negatives per positive in training), or its square root"""
    max_pos_weight: float = 10.0
    """Bound of that weight, upwards and (inverted) downwards"""

    def __post_init__(self) -> None:
        """Refuse impossible bounds."""
        if not (math.isfinite(self.max_pos_weight) and self.max_pos_weight >= 1):
            raise ValueError(f"max_pos_weight is {self.max_pos_weight}; it must be a finite number of at least 1")

    def weights(self, positive_rates: Sequence[float]) -> tuple[float, ...]:
        """The weight of a positive, per criterion.

        ``balanced`` is (1 - p) / p for a positive rate p. Both it and its root stay within [1 / max_pos_weight,
        max_pos_weight], so that a criterion that training has always, or never, keeps a usable weight.

        Raises:
            ValueError: A rate outside [0, 1].
        """
        return tuple(self._weight(rate) for rate in positive_rates)

    def _weight(self, rate: float) -> float:
        if not 0 <= rate <= 1:
            raise ValueError(f"a positive rate is {rate}; it must be between 0 and 1")
        if self.pos_weight == "none":
            return 1.0
        odds = (1 - rate) / rate if rate > 0 else math.inf
        weight = odds if self.pos_weight == "balanced" else math.sqrt(odds)
        return min(max(weight, 1 / self.max_pos_weight), self.max_pos_weight)

    def build(self, positive_rates: Sequence[float]) -> nn.Module:
        """The weighted cross-entropy."""
        from redsm5.modules.criteria_losses import WeightedBCE

        return WeightedBCE(self.weights(positive_rates))
