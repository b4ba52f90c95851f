"""Options of the weights of the two tasks. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redsm5.modules.task_weights import TaskWeights


class TaskWeighting(ABC):
    """How the losses of criteria and evidence become one."""

    @abstractmethod
    def build(self) -> TaskWeights:
        """The module: (criteria loss, evidence loss) -> the loss to minimise, all scalars."""


@dataclass(frozen=True)
class FixedWeights(TaskWeighting):
    """A weight for each task."""

    lambda_class: float = 1.0
    """Weight of the criteria loss"""
    lambda_span: float = 0.3
    """Weight of the evidence loss"""

    def __post_init__(self) -> None:
        """Refuse impossible weights."""
        for name in ("lambda_class", "lambda_span"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value}; it must be a finite number of at least 0")
        if self.lambda_class == self.lambda_span == 0:
            raise ValueError("lambda_class is 0 and so is lambda_span, which leaves nothing to learn; set one above 0")

    def build(self) -> TaskWeights:
        """The weighted sum."""
        from redsm5.modules.task_weights import FixedSum

        return FixedSum(self.lambda_class, self.lambda_span)


@dataclass(frozen=True)
class Uncertainty(TaskWeighting):
    """Weights that are learned with the network, from how uncertain each task is (Kendall et al. 2018)."""

    def build(self) -> TaskWeights:
        """The sum with learned weights; both begin at 1."""
        from redsm5.modules.task_weights import UncertaintySum

        return UncertaintySum()
