"""A schedule that follows the monitored metric, as an option. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from redsm5.optim.curves import warmup_factor
from redsm5.optim.schedule import Curve, Schedule, Warmup

if TYPE_CHECKING:
    import torch


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
