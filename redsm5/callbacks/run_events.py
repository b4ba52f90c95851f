"""The course of a training in the log of the run."""

from __future__ import annotations

import lightning.pytorch as pl
import torch

from redsm5.logs import event, position_is


class RunEvents(pl.Callback):
    """Logs the start, every epoch, and an early stop; the log asks it for the epoch and the step.

    Args:
        monitor: The metric to name in the event of an epoch.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log where the training starts and on what."""
        position_is(lambda: (trainer.current_epoch, trainer.global_step))
        device = trainer.strategy.root_device
        event(
            "training resumed" if trainer.global_step else "training started",
            device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            devices=trainer.world_size,
            precision=str(trainer.precision),
            threads=torch.get_num_threads(),
            batches=trainer.num_training_batches,
            epochs=trainer.max_epochs,
            parameters=sum(p.numel() for p in pl_module.parameters()),
            trainable=sum(p.numel() for p in pl_module.parameters() if p.requires_grad),
        )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch, and whether it is the last."""
        metrics = trainer.callback_metrics
        names = dict.fromkeys(["train_loss", "val_loss", self.monitor])
        event("epoch ended", **{name: float(metrics[name]) for name in names if name in metrics})
        stopping = trainer.early_stopping_callback
        if stopping is not None and stopping.stopped_epoch and trainer.should_stop:
            event("early stop", monitor=stopping.monitor, epochs_without_improvement=stopping.wait_count)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the end."""
        event("training ended", epochs=trainer.current_epoch)
        position_is(None)
