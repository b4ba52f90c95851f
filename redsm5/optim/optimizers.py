"""Options of the optimizer. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class Optimizer(ABC):
    """An optimizer with a rate for the encoder and one for everything on top of it."""

    lr: float
    head_lr: float
    weight_decay: float

    @abstractmethod
    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer.

        Args:
            groups: From ``parameter_groups``, each with its own ``lr`` and ``weight_decay``.
        """


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    lr: float = 2e-5
    """Peak learning rate of the encoder"""
    head_lr: float = 1e-4
    """Peak learning rate of pooling, aggregation and heads"""
    weight_decay: float = 0.01
    """Weight decay of matrices; biases and norms have none"""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running averages of the gradient and of its square"""
    eps: float = 1e-8
    """Added to the denominator"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name in ("lr", "head_lr", "weight_decay"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} is {value}; it must be a finite number of at least 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas is {list(self.betas)}; both must be at least 0 and below 1")
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise ValueError(f"eps is {self.eps}; it must be a finite number above 0")

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The fused AdamW of torch."""
        from redsm5.optim.adamw import ClippableAdamW

        return ClippableAdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=self.weight_decay)
