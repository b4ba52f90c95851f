"""Options of the criteria loss. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from redsm5.modules.criteria_losses import PerOutput


class CriteriaLoss(ABC):
    """How criteria logits are compared with labels."""

    @abstractmethod
    def build(self, positive_rates: Sequence[float]) -> PerOutput:
        """The module: (logits [E, K], labels [E, K], criterion int64 [E]) -> loss per example [E].

        Args:
            positive_rates: Per criterion, the share of positives among the *training* examples, 0 to 1.
        """


@dataclass(frozen=True)
class Smoothing:
    """The field that all losses share. No ``CriteriaLoss`` itself, or jsonargparse would offer it as one."""

    label_smoothing: float = 0.0
    """s in [0, 1): labels become s/2 and 1 - s/2"""

    def __post_init__(self) -> None:
        """Refuse what would turn labels round."""
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; it must be at least 0 and below 1")


@dataclass(frozen=True)
class BCE(Smoothing, CriteriaLoss):
    """Binary cross-entropy per criterion."""

    def build(self, positive_rates: Sequence[float]) -> PerOutput:
        """The cross-entropy."""
        from redsm5.modules.criteria_losses import CrossEntropy

        return CrossEntropy([1.0] * len(positive_rates), self.label_smoothing)


@dataclass(frozen=True)
class WeightedBCE(Smoothing, CriteriaLoss):
    """Binary cross-entropy in which positives weigh the more, the rarer they are in training."""

    pos_weight: Literal["sqrt", "balanced"] = "balanced"
    """Weight of positives: balanced (negatives per positive in training), or its square root"""
    max_pos_weight: float = 10.0
    """Bound of that weight, upwards and (inverted) downwards"""

    def __post_init__(self) -> None:
        """Refuse impossible bounds."""
        super().__post_init__()
        if not (math.isfinite(self.max_pos_weight) and self.max_pos_weight > 1):
            raise ValueError(f"max_pos_weight is {self.max_pos_weight}; it must be a finite number above 1")

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
        odds = (1 - rate) / rate if rate > 0 else math.inf
        weight = odds if self.pos_weight == "balanced" else math.sqrt(odds)
        return min(max(weight, 1 / self.max_pos_weight), self.max_pos_weight)

    def build(self, positive_rates: Sequence[float]) -> PerOutput:
        """The weighted cross-entropy."""
        from redsm5.modules.criteria_losses import CrossEntropy

        return CrossEntropy(self.weights(positive_rates), self.label_smoothing)


@dataclass(frozen=True)
class Focal(Smoothing, CriteriaLoss):
    """Focal loss of Lin et al. 2017: what the model is sure of counts less."""

    gamma: float = 2.0
    """How much less, at least 0; 0 is cross-entropy, 1 to 5 are usual"""
    alpha: float | None = None
    """Weight of positives in (0, 1), that of negatives is 1 - alpha; both are 1 if not given"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        _check_gamma(self.gamma)
        if self.alpha is not None and not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}; it must be above 0 and below 1, or null")

    def build(self, positive_rates: Sequence[float]) -> PerOutput:
        """The focal loss."""
        from redsm5.modules.criteria_losses import FocalLoss

        return FocalLoss(len(positive_rates), self.label_smoothing, gamma=self.gamma, alpha=self.alpha)


@dataclass(frozen=True)
class AdaptiveFocal(Smoothing, CriteriaLoss):
    """Focal loss that learns a gamma for each criterion, held near a given one."""

    gamma: float = 2.0
    """Where each gamma begins, and what it is pulled to; above 0"""
    pull: float = 0.1
    """Weight of the squared distance to it, above 0: without a pull gamma would grow until no example counted"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        _check_gamma(self.gamma)
        if self.gamma == 0:
            raise ValueError("gamma is 0; a learned one must begin above 0")
        if not (math.isfinite(self.pull) and self.pull > 0):
            raise ValueError(f"pull is {self.pull}; it must be a finite number above 0")

    def build(self, positive_rates: Sequence[float]) -> PerOutput:
        """The loss with its parameters."""
        from redsm5.modules.criteria_losses import AdaptiveFocalLoss

        return AdaptiveFocalLoss(len(positive_rates), self.label_smoothing, gamma=self.gamma, pull=self.pull)


@dataclass(frozen=True)
class Hybrid(Smoothing, CriteriaLoss):
    """A mixture of cross-entropy and focal loss."""

    alpha: float = 0.5
    """Share of the cross-entropy, in (0, 1); the rest is focal"""
    gamma: float = 2.0
    """Of the focal loss, above 0"""

    def __post_init__(self) -> None:
        """Refuse what would be one loss alone."""
        super().__post_init__()
        _check_gamma(self.gamma)
        if self.gamma == 0:
            raise ValueError("gamma is 0, which makes both parts cross-entropy; take BCE, or a gamma above 0")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}; it must be above 0 and below 1: take BCE or Focal for one alone")

    def build(self, positive_rates: Sequence[float]) -> PerOutput:
        """The mixture."""
        from redsm5.modules.criteria_losses import HybridLoss

        return HybridLoss(len(positive_rates), self.label_smoothing, alpha=self.alpha, gamma=self.gamma)


def _check_gamma(gamma: float) -> None:
    if not (math.isfinite(gamma) and gamma >= 0):
        raise ValueError(f"gamma is {gamma}; it must be a finite number of at least 0")
