"""Options of the learning-rate schedule. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from redsm5.optim.curves import linear_factor

if TYPE_CHECKING:
    import torch


class Schedule(ABC):
    """How the learning rates move over the optimizer steps."""

    @abstractmethod
    def curve(self, total_steps: int) -> Callable[[int], float]:
        """The factor on the rates as a function of the optimizer step, counted from 0.

        Args:
            total_steps: Optimizer steps of ``max_epochs``.
        """

    def build(self, optimizer: torch.optim.Optimizer, total_steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        """The scheduler; it is stepped after every optimizer step.

        Args:
            optimizer: Its groups' rates are those at factor 1.
            total_steps: Optimizer steps of ``max_epochs``.
        """
        from torch.optim.lr_scheduler import LambdaLR

        return LambdaLR(optimizer, self.curve(total_steps))


@dataclass(frozen=True)
class Linear(Schedule):
    """Linear warmup, then linear decay."""

    warmup_ratio: float | None = 0.1
    """Share of the horizon that warms up; null where warmup_steps is given"""
    warmup_steps: int | None = None
    """Optimizer steps that warm up, instead of warmup_ratio"""
    horizon: float = 1.0
    """Share of max_epochs over which the rate decays: set it below 1 where early stopping ends most runs sooner"""
    final: float = 0.0
    """Factor on the rate from the horizon on"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.warmup_ratio is not None and self.warmup_steps is not None:
            both = f"warmup_ratio is {self.warmup_ratio} and warmup_steps is {self.warmup_steps}"
            raise ValueError(f"{both}; set one of them and the other to null")
        if self.warmup_ratio is None and self.warmup_steps is None:
            raise ValueError("warmup_ratio and warmup_steps are both null; set one of them (0 for no warmup)")
        if self.warmup_ratio is not None and not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"warmup_ratio is {self.warmup_ratio}; it must be at least 0 and below 1")
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; it must be at least 0")
        if not 0 < self.horizon <= 1:
            raise ValueError(f"horizon is {self.horizon}; it must be above 0 and at most 1")
        if not 0 <= self.final <= 1:
            raise ValueError(f"final is {self.final}; it must be between 0 and 1")

    def curve(self, total_steps: int) -> Callable[[int], float]:
        """Up to 1 over the warmup, down to ``final`` at the horizon."""
        if total_steps < 1:
            raise ValueError(f"total_steps is {total_steps}; it must be at least 1")
        horizon = max(1, round(self.horizon * total_steps))
        warmup = self.warmup_steps or round((self.warmup_ratio or 0.0) * horizon)
        return partial(linear_factor, warmup=warmup, horizon=horizon, final=self.final)
