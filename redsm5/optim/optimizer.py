"""What every optimizer option has: rates per part of the network, and weight decay. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Part = Literal["encoder", "head", "peft"]
"""Parts of the network with a rate of their own."""


class Optimizer(ABC):
    """An optimizer with a rate for the encoder, one for PEFT parameters and one for everything on top."""

    lr: float | None
    head_lr: float | None
    peft_lr: float | None
    layer_decay: float
    weight_decay: float

    @abstractmethod
    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer.

        Args:
            groups: From ``parameter_groups``, each with its own ``lr`` and ``weight_decay``.
        """

    def rate(self, part: Part) -> float | None:
        """The rate of a part; None where the optimizer finds rates itself."""
        return {"encoder": self.lr, "head": self.head_lr, "peft": self.peft_lr}[part]

    @property
    def has_momentum(self) -> bool:
        """Whether there is a momentum that a schedule could move."""
        return True


@dataclass(frozen=True)
class Rates:
    """The fields that optimizers share. No ``Optimizer`` itself, or jsonargparse would offer it as one."""

    lr: float = 2e-5
    """Peak learning rate of the encoder"""
    head_lr: float = 1e-4
    """Peak learning rate of pooling, aggregation and heads"""
    peft_lr: float = 2e-4
    """Peak learning rate of PEFT parameters"""
    layer_decay: float = 1.0
    """Factor on the encoder's rate from each layer to the one below it, the embeddings lowest; 1 for one rate"""
    weight_decay: float = 0.01
    """Weight decay of matrices; biases and norms have none"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_rates(self)


def check_rates(option: Any) -> None:
    """Refuse impossible rates and decays.

    Raises:
        ValueError: Names the field, the value and what is accepted.
    """
    for name in ("lr", "head_lr", "peft_lr", "weight_decay"):
        value = getattr(option, name)
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} is {value}; it must be a finite number of at least 0")
    if not 0 < option.layer_decay <= 1:
        raise ValueError(f"layer_decay is {option.layer_decay}; it must be above 0 and at most 1")


def check_betas(betas: Sequence[float]) -> None:
    """Refuse impossible decays of running averages."""
    if not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas is {list(betas)}; both must be at least 0 and below 1")


def check_eps(eps: float) -> None:
    """Refuse a denominator that may vanish."""
    if not (math.isfinite(eps) and eps > 0):
        raise ValueError(f"eps is {eps}; it must be a finite number above 0")
