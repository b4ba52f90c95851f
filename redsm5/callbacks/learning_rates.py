"""The learning rates of an epoch among its metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
from torch.optim import Optimizer

from redsm5.optim.groups import NO_DECAY


class LearningRates(pl.Callback):
    """Logs the rate that each parameter group had in the last optimizer step of the epoch, as ``lr_<group>``."""

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Keep the rates of the step; the schedule moves them right after it."""
        self._rates = named_rates(optimizer.param_groups)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log them."""
        pl_module.log_dict(self._rates, on_step=False, on_epoch=True, rank_zero_only=False)


def named_rates(groups: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The rate of each group by a name, as few names as say it all.

    The groups without decay have the rates of their parts and no name of their own; the encoder's groups are
    ``lr_encoder`` where all of them have one rate, and ``lr_encoder.layer.7`` and the like where they differ.

    Args:
        groups: With ``name`` and ``lr``.
    """
    rates = {group["name"].removesuffix(NO_DECAY): float(group["lr"]) for group in groups}
    encoder = {name: rate for name, rate in rates.items() if name.startswith("encoder.")}
    if encoder and len(set(encoder.values())) == 1:
        others = {name: rate for name, rate in rates.items() if name not in encoder}
        rates = {"encoder": next(iter(encoder.values())), **others}
    return {f"lr_{name}": rate for name, rate in rates.items()}
