"""A progress bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import Tensor

from redsm5.callbacks.early_stopping import Monitor

SECONDS_BETWEEN_LINES = 30.0
SECONDS_BETWEEN_LOSSES = 0.5


class LossBar(TQDMProgressBar):
    """The bar of Lightning with the loss beside it, read twice a second: each reading waits for the device."""

    def __init__(self) -> None:
        super().__init__(leave=False)
        self._loss = ""
        self._read = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Read the loss when the last one is old; move on."""
        now = time.monotonic()
        if now - self._read >= SECONDS_BETWEEN_LOSSES:
            self._read, self._loss = now, f"{step_loss(trainer, outputs):.3f}"
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """What stands beside the bar."""
        return {**super().get_metrics(trainer, pl_module), "loss": self._loss}


class PlainProgress(pl.Callback):
    """One line per epoch, and one every half minute within it.

    Args:
        monitor: The metric to name in the epoch's line.
    """

    def __init__(self, monitor: Monitor) -> None:
        self.monitor = monitor
        self._last_line = 0.0
        self._epoch_started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock: a training that goes on in mid-epoch does not begin that epoch again."""
        self._epoch_started = self._last_line = time.monotonic()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._epoch_started = self._last_line = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Print a line when the last one is half a minute old."""
        now = time.monotonic()
        if now - self._last_line >= SECONDS_BETWEEN_LINES and trainer.is_global_zero:
            self._last_line = now
            print(
                f"epoch {trainer.current_epoch}: batch {batch_idx + 1} of {trainer.num_training_batches}, "
                f"loss {step_loss(trainer, outputs):.3f}",
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


def step_loss(trainer: pl.Trainer, outputs: Mapping[str, Tensor]) -> float:
    """The loss of a batch; Lightning hands out the share of it that counts for the optimizer step."""
    return float(outputs["loss"]) * trainer.accumulate_grad_batches


def progress(monitor: Monitor) -> list[pl.Callback]:
    """The callbacks that show progress: a bar on a terminal (and the epoch lines above it), plain lines elsewhere."""
    if sys.stderr.isatty():
        return [LossBar(), PlainProgress(monitor)]
    return [PlainProgress(monitor)]
