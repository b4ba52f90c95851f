"""Tells a schedule that follows a metric what the epoch brought."""

from __future__ import annotations

import lightning.pytorch as pl

from redsm5.optim.plateau import WarmupPlateau


class Plateau(pl.Callback):
    """Hands the monitored metric to a ``WarmupPlateau`` before the checkpoint of the epoch is written.

    The metric is that of the Trainer's early stopping. Lightning orders checkpoint callbacks last.
    """

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hand over the metric of the epoch."""
        stopping = trainer.early_stopping_callback
        if stopping is None or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        for config in trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, WarmupPlateau):
                config.scheduler.observe(float(trainer.callback_metrics[stopping.monitor]))
