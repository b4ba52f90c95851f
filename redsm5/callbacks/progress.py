"""A progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar

from redsm5.callbacks.early_stopping import Monitor

SECONDS_BETWEEN_LINES = 30.0


class PlainProgress(pl.Callback):
    """One line per epoch, and one every half minute within it.

    Args:
        monitor: The metric to name in the epoch's line.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._last_line = 0.0
        self._epoch_started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._epoch_started = self._last_line = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Print a line when the last one is half a minute old."""
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES and trainer.is_global_zero:
            self._last_line = now
            loss = trainer.callback_metrics.get("loss")
            said = "" if loss is None else f", loss {float(loss):.3f}"
            print(
                f"epoch {trainer.current_epoch}: batch {batch_idx + 1} of {trainer.num_training_batches}{said}",
                flush=True,
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's line."""
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        names = dict.fromkeys(["train_loss", "val_loss", self.monitor, "val_hit_at_1"])
        said = ", ".join(f"{name} {float(metrics[name]):.3f}" for name in names if name in metrics)
        print(f"epoch {trainer.current_epoch}: {said} ({time.monotonic() - self._epoch_started:.0f} s)", flush=True)


def progress(monitor: Monitor) -> list[pl.Callback]:
    """The callbacks that show progress: a bar on a terminal (and the epoch lines above it), plain lines elsewhere."""
    if sys.stderr.isatty():
        return [TQDMProgressBar(leave=False), PlainProgress(monitor)]
    return [PlainProgress(monitor)]
