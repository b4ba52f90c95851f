"""metrics.csv: one row per epoch, appended as the epoch ends."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path

import lightning.pytorch as pl

from redsm5.atomic import write_text_atomically


class MetricsFile(pl.Callback):
    """Appends a row of all logged metrics after every epoch.

    A run that goes on from a checkpoint keeps the rows of the epochs before it and drops later ones, so that the file
    equals that of an uninterrupted run.

    Args:
        path: The CSV file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._epoch_started = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop rows that the run is about to write again."""
        self._epoch_started = time.monotonic()  # one that goes on in mid-epoch does not begin that epoch again
        if not trainer.is_global_zero or not self.path.exists():
            return
        with self.path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self._write([row for row in rows if int(row["epoch"]) < trainer.current_epoch])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._epoch_started = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the epoch's row."""
        if not trainer.is_global_zero:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {
            "epoch": str(trainer.current_epoch),
            "step": str(trainer.global_step),
            "seconds": f"{time.monotonic() - self._epoch_started:.1f}",
            **{name: f"{metrics[name]:.6g}" for name in sorted(metrics)},
        }
        rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        self._write([*rows, row])

    def _write(self, rows: list[dict[str, str]]) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        write_text_atomically(self.path, text.getvalue())
