"""One cycle of the rate as an option. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from redsm5.optim.curves import one_cycle_factor
from redsm5.optim.schedule import Curve, Schedule, check_horizon, horizon_steps

if TYPE_CHECKING:
    import torch


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
