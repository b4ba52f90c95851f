"""What every schedule option is, and the fields that several have. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Curve = Callable[[int], float]
"""The factor on the rates at an optimizer step, counted from 0."""


class Schedule(ABC):
    """How the learning rates move over the optimizer steps."""

    @abstractmethod
    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """The factor on the rates; of a schedule that follows a metric, that of a run that never improves.

        Args:
            total_steps: Optimizer steps of ``max_epochs``.
            steps_per_epoch: Optimizer steps of an epoch.
        """

    def build(
        self,
        optimizer: torch.optim.Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        *,
        mode: Literal["min", "max"],
    ) -> torch.optim.lr_scheduler.LRScheduler | None:
        """The scheduler, stepped after every optimizer step; None where the rates never change.

        Args:
            optimizer: Its groups' rates are those at factor 1.
            total_steps: Optimizer steps of ``max_epochs``.
            steps_per_epoch: Optimizer steps of an epoch.
            mode: Whether the monitored metric is minimised or maximised.
        """
        from torch.optim.lr_scheduler import LambdaLR

        return LambdaLR(optimizer, self.curve(total_steps, steps_per_epoch))


@dataclass(frozen=True)
class Warmup:
    """Fields of a schedule that rises from 0. No ``Schedule`` itself, or jsonargparse would offer it as one."""

    warmup_ratio: float | None = 0.1
    """Share of the steps that warm up; null where warmup_steps is given, or for no warmup"""
    warmup_steps: int | None = None
    """Optimizer steps that warm up, instead of warmup_ratio"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.warmup_ratio is not None and self.warmup_steps is not None:
            both = f"warmup_ratio is {self.warmup_ratio} and warmup_steps is {self.warmup_steps}"
            raise ValueError(f"{both}; set one of them and the other to null")
        if self.warmup_ratio is not None and not 0 <= self.warmup_ratio < 1:
            raise ValueError(f"warmup_ratio is {self.warmup_ratio}; it must be at least 0 and below 1")
        if self.warmup_steps is not None and self.warmup_steps < 0:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; it must be at least 0")

    def warmup(self, steps: int) -> int:
        """Steps of warmup out of so many."""
        return self.warmup_steps or round((self.warmup_ratio or 0.0) * check_steps(steps))


@dataclass(frozen=True)
class Decay(Warmup):
    """Fields of a schedule that falls from 1 to a last value at a known step."""

    horizon: float = 1.0
    """Share of max_epochs over which the rate decays: set it below 1 where early stopping ends most runs sooner"""
    final: float = 0.0
    """Factor on the rate from the horizon on"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        check_horizon(self.horizon)
        if not 0 <= self.final <= 1:
            raise ValueError(f"final is {self.final}; it must be between 0 and 1")


def check_horizon(horizon: float) -> None:
    """Refuse a horizon outside the training."""
    if not 0 < horizon <= 1:
        raise ValueError(f"horizon is {horizon}; it must be above 0 and at most 1")


def horizon_steps(horizon: float, total_steps: int) -> int:
    """The step of the horizon, at least 1."""
    return max(1, round(horizon * check_steps(total_steps)))


def check_steps(steps: int) -> int:
    """Refuse a training without steps.

    Raises:
        ValueError: There is no step.
    """
    if steps < 1:
        raise ValueError(f"total_steps is {steps}; it must be at least 1")
    return steps
