"""Option of the evidence loss: the weights of its parts. Torch-free."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class EvidenceLoss:
    """Weights inside the loss of the evidence head; that of positives is 1."""

    null_weight: float = 1.0
    """Weight of the windows without evidence, which should choose the null option"""
    hard_negative_weight: float = 0.1
    """Weight of the unlikelihood of sentences that an expert ruled out"""
    inside_weight: float = 30.0
    """Weight of the loss per token of being inside evidence, where the head has inside logits"""
    inside_pos_weight: float = 3.0
    """Weight of a token inside evidence against one outside"""

    def __post_init__(self) -> None:
        """Refuse impossible weights."""
        for name in ("null_weight", "hard_negative_weight", "inside_weight", "inside_pos_weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value}; it must be a finite number of at least 0")

    def total(self, positives: Tensor, nulls: Tensor, hard_negatives: Tensor, inside: Tensor) -> Tensor:
        """The sum of the parts with their weights; all of one shape."""
        bounds = positives + self.null_weight * nulls + self.hard_negative_weight * hard_negatives
        return bounds + self.inside_weight * inside
