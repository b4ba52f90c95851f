"""Options of the learning-rate schedule. Torch-free."""

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
    one_cycle_factor,
    power_of_line,
    warmup_factor,
)
from redsm5.optim.schedule import Curve, Decay, Schedule, Warmup, check_horizon, horizon_steps

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
    "OneCycle",
    "Polynomial",
    "ReduceOnPlateau",
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
    """How many times as long each is as the one before; without effect where num_cycles is 1"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        for name in ("num_cycles", "T_mult"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")

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


@dataclass(frozen=True)
class OneCycle(Schedule):
    """One rise and one long fall (Smith and Topin 2018); its rise is its warmup."""

    pct_start: float = 0.3
    """Share of the cycle that rises"""
    div_factor: float = 25.0
    """The rate starts at the peak divided by this"""
    final_div_factor: float = 10_000.0
    """The rate ends at its start divided by this"""
    cycle_momentum: bool = False
    """Move the momentum (the first beta) against the rate: from the optimizer's own to 0.1 below it at the peak"""
    horizon: float = 1.0
    """Share of max_epochs that the cycle takes; from there the rate stays at its last value"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_horizon(self.horizon)
        if not 0 < self.pct_start < 1:
            raise ValueError(f"pct_start is {self.pct_start}; it must be above 0 and below 1")
        for name in ("div_factor", "final_div_factor"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")

    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """From 1 / div_factor to 1 and down to 1 / (div_factor x final_div_factor), in half cosines."""
        return partial(
            one_cycle_factor,
            horizon=horizon_steps(self.horizon, total_steps),
            pct_start=self.pct_start,
            div=self.div_factor,
            final_div=self.final_div_factor,
        )

    def build(
        self,
        optimizer: torch.optim.Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        *,
        mode: Literal["min", "max"],
    ) -> torch.optim.lr_scheduler.LRScheduler | None:
        """A scheduler of the rates, and of the momentum where asked."""
        if not self.cycle_momentum:
            return super().build(optimizer, total_steps, steps_per_epoch, mode=mode)
        from redsm5.optim.momentum_cycle import MomentumCycle

        return MomentumCycle(
            optimizer,
            self.curve(total_steps, steps_per_epoch),
            horizon=horizon_steps(self.horizon, total_steps),
            pct_start=self.pct_start,
        )


@dataclass(frozen=True)
class ReduceOnPlateau(Warmup, Schedule):
    """Linear warmup, then a factor down whenever the monitored metric stops improving."""

    factor: float = 0.5
    """Factor on the rate at a reduction"""
    patience: int = 5
    """Epochs without improvement that are let pass; the next one reduces"""
    threshold: float = 1e-4
    """Share of the best value by which the metric must be better than it to count"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if not 0 < self.factor < 1:
            raise ValueError(f"factor is {self.factor}; it must be above 0 and below 1")
        if self.patience < 0:
            raise ValueError(f"patience is {self.patience}; it must be at least 0")
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold}; it must be at least 0 and below 1")

    def curve(self, total_steps: int, steps_per_epoch: int) -> Curve:
        """The fastest fall that there can be: the metric is best after the first epoch that counts."""
        warmup, patience = self.warmup(total_steps), self.patience + 1

        def factor(step: int) -> float:
            counted = step // steps_per_epoch - max(1, -(-warmup // steps_per_epoch)) + 1
            return warmup_factor(step, warmup=warmup) * self.factor ** max(0, (counted - 1) // patience)

        return factor

    def build(
        self,
        optimizer: torch.optim.Optimizer,
        total_steps: int,
        steps_per_epoch: int,
        *,
        mode: Literal["min", "max"],
    ) -> torch.optim.lr_scheduler.LRScheduler | None:
        """A scheduler that is told the metric after every epoch."""
        from redsm5.optim.plateau import WarmupPlateau

        return WarmupPlateau(
            optimizer,
            warmup=self.warmup(total_steps),
            mode=mode,
            factor=self.factor,
            patience=self.patience,
            threshold=self.threshold,
        )
