"""Options of the learning-rate schedule that are curves of the step. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from redsm5.optim.curves import (
    cosine_restarts,
    decay_factor,
    exponential_factor,
    half_cosine,
    line,
    power_of_line,
    warmup_factor,
)
from redsm5.optim.schedule import Curve, Decay, Schedule, Warmup, horizon_steps

if TYPE_CHECKING:
    import torch

__all__ = [
    "Constant",
    "ConstantWarmup",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "Linear",
    "NoSchedule",
    "Polynomial",
    "Schedule",
]


class _Flat:
    """Rates that never change."""

    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """1 at every step."""
        return partial(warmup_factor, warmup=0)

    def build(
        self,
        optimizer: torch.optim.Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        *,
        mode: Literal["min", "max"],
    ) -> torch.optim.lr_scheduler.LRScheduler | None:
        """None: an optimizer that finds its own rate has nothing that a scheduler could multiply."""
        return None


@dataclass(frozen=True)
class NoSchedule(_Flat, Schedule):
    """The rates stay as they are; another name of Constant."""


@dataclass(frozen=True)
class Constant(_Flat, Schedule):
    """The rates stay as they are; another name of NoSchedule."""


@dataclass(frozen=True)
class ConstantWarmup(Warmup, Schedule):
    """Linear warmup, then the full rate."""

    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """Up to 1 over the warmup, and flat from there."""
        return partial(warmup_factor, warmup=self.warmup(total_steps))


@dataclass(frozen=True)
class Linear(Decay, Schedule):
    """Linear warmup, then linear decay."""

    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """Up to 1 over the warmup, down to ``final`` at the horizon."""
        horizon = horizon_steps(self.horizon, total_steps)
        return partial(decay_factor, warmup=self.warmup(horizon), horizon=horizon, final=self.final, shape=line)


@dataclass(frozen=True)
class Cosine(Decay, Schedule):
    """Linear warmup, then half a cosine (Loshchilov and Hutter 2017)."""

    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """Up to 1 over the warmup, down to ``final`` at the horizon, slow at both ends."""
        horizon = horizon_steps(self.horizon, total_steps)
        return partial(decay_factor, warmup=self.warmup(horizon), horizon=horizon, final=self.final, shape=half_cosine)


@dataclass(frozen=True)
class CosineRestarts(Decay, Schedule):
    """Linear warmup, then half cosines that start again at the full rate (SGDR, Loshchilov and Hutter 2017)."""

    num_cycles: int = 2
    """Half cosines within the horizon; with 1 it is Cosine"""
    T_mult: int = 1
    """How many times as long each is as the one before; 1 where num_cycles is 1"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        for name in ("num_cycles", "T_mult"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.num_cycles == 1 and self.T_mult != 1:
            raise ValueError(f"T_mult is {self.T_mult}, but num_cycles is 1: no cycle comes after it; set T_mult to 1")

    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """Up to 1 over the warmup, then from 1 towards ``final`` in every cycle."""
        horizon = horizon_steps(self.horizon, total_steps)
        shape = partial(cosine_restarts, cycles=self.num_cycles, growth=self.T_mult)
        return partial(decay_factor, warmup=self.warmup(horizon), horizon=horizon, final=self.final, shape=shape)


@dataclass(frozen=True)
class Polynomial(Decay, Schedule):
    """Linear warmup, then a power of the linear decay."""

    power: float = 2.0
    """Exponent; with 1 it is Linear, above 1 the rate falls faster at first"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if not self.power > 0:
            raise ValueError(f"power is {self.power}; it must be above 0")

    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """Up to 1 over the warmup, down to ``final`` at the horizon."""
        horizon = horizon_steps(self.horizon, total_steps)
        shape = partial(power_of_line, power=self.power)
        return partial(decay_factor, warmup=self.warmup(horizon), horizon=horizon, final=self.final, shape=shape)


@dataclass(frozen=True)
class Exponential(Warmup, Schedule):
    """Linear warmup, then by a factor down in every epoch."""

    gamma: float = 0.97
    """Factor on the rate per epoch"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma is {self.gamma}; it must be above 0 and at most 1")

    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """Up to 1 over the warmup, then gamma to the power of the epochs since, evenly over their steps."""
        warmup = self.warmup(total_steps)
        return partial(exponential_factor, warmup=warmup, gamma=self.gamma, steps_per_epoch=steps_per_epoch)
