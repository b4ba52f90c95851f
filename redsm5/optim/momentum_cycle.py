"""One cycle of the rate with the momentum moving against it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from redsm5.optim.curves import one_cycle_share

MOMENTUM_DROP = 0.1
"""How far the momentum falls: torch's ``OneCycleLR`` goes from 0.95 to 0.85; here the top is the optimizer's own."""


class MomentumCycle(LambdaLR):
    """Rates by a curve; the momentum at its own value where the rate is low, lower by ``MOMENTUM_DROP`` at the peak.

    Args:
        optimizer: Its groups have the rates at factor 1 and the highest momentum.
        curve: Factor on the rates.
        horizon: Steps of the cycle.
        pct_start: Share of them in which the rate rises.

    Raises:
        ValueError: The optimizer has no momentum.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        curve: Callable[[int], float],
        *,
        horizon: int,
        pct_start: float,
    ) -> None:
        groups = optimizer.param_groups
        if all(group.get("momentum") for group in groups):
            self.key = "momentum"
        elif all("betas" in group for group in groups):
            self.key = "betas"
        else:
            raise ValueError(f"{type(optimizer).__name__} has no momentum to cycle")
        self.horizon = horizon
        self.pct_start = pct_start
        # A resumed optimizer brings the momentum of its last step: the highest is in the state of this scheduler.
        self.tops = [float(group["momentum"] if self.key == "momentum" else group["betas"][0]) for group in groups]
        super().__init__(optimizer, curve)

    def get_lr(self) -> list[Any]:
        """The rates of the step; sets the momentum too."""
        share = one_cycle_share(self.last_epoch, horizon=self.horizon, pct_start=self.pct_start)
        for group, top in zip(self.optimizer.param_groups, self.tops, strict=True):
            value = top - share * min(top, MOMENTUM_DROP)
            group[self.key] = value if self.key == "momentum" else (value, *group[self.key][1:])
        return super().get_lr()
