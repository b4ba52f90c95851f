"""Writes ``metrics.csv`` as epochs end."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path

import lightning.pytorch as pl

from redsm5.metrics_csv import MetricRow, append_rows, keep_rows


class MetricsFile(pl.Callback):
    """Appends all logged metrics after every epoch, a row each; what is written is never rewritten while it trains.

    A run that goes on from a checkpoint keeps the rows that came before it and drops those of what is done again, so
    that the file equals that of an uninterrupted run.

    Args:
        path: The CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._epoch_started = 0.0
        self._at_checkpoint: str | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop rows that the run is about to write again."""
        self._epoch_started = time.monotonic()  # one that goes on in mid-epoch does not begin that epoch again
        if trainer.is_global_zero:
            # A checkpoint within an epoch may be of its last step: then the epoch ends, and is logged, once more.
            epoch, step = trainer.current_epoch, trainer.global_step
            keep_rows(self.path, lambda row: row.epoch < epoch and row.step <= step)

            if self._at_checkpoint is not None and self._at_checkpoint != digest(self.path):
                print(f"{self.path} is not as the run has written it; going on with what it holds", file=sys.stderr)

    def state_dict(self) -> dict[str, str]:
        """What the file was when the checkpoint was written."""
        return {"sha256": digest(self.path)}

    def load_state_dict(self, state_dict: dict[str, str]) -> None:
        """Keep it until training starts."""
        self._at_checkpoint = state_dict["sha256"]

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._epoch_started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the rows of the epoch."""
        if not trainer.is_global_zero:
            return
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        values["seconds"] = round(time.monotonic() - self._epoch_started, 1)
        epoch, step = trainer.current_epoch, trainer.global_step
        append_rows(self.path, [MetricRow(epoch, step, name, values[name]) for name in sorted(values)])


def digest(path: Path) -> str:
    """SHA-256 of a file, or of nothing where there is none."""
    return hashlib.sha256(path.read_bytes() if path.exists() else b"").hexdigest()
