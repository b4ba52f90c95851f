"""Useful tokens per second of training, and the time that it took."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl


class Throughput(pl.Callback):
    """Counts non-padding tokens, the seconds spent in training epochs (validation left out) and those of the fit.

    The totals go on where a checkpoint was written: what came after it is done again.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._before = 0.0
        self._fit_started: float | None = None
        self._counted_to: float | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the fit."""
        self._fit_started = time.monotonic()

    @property
    def fit_seconds(self) -> float:
        """Wall-clock seconds of training and validation, those before an interruption included."""
        return self._before + (0.0 if self._fit_started is None else time.monotonic() - self._fit_started)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch; the clock runs from the first batch of an epoch to its last."""
        if self._counted_to is None:
            self._counted_to = time.monotonic()
        self.tokens += batch.attention_mask.sum()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Count the seconds since the batch before; the validation that follows the last batch does not count."""
        now = time.monotonic()
        if self._counted_to is not None:
            self.seconds += now - self._counted_to
        self._counted_to = None if trainer.is_last_batch else now

    @property
    def tokens_per_second(self) -> float | None:
        """Useful tokens per second, or None before the first epoch ended."""
        return float(self.tokens) / self.seconds if self.seconds > 0 else None

    def state_dict(self) -> dict[str, Any]:
        """Totals so far, so that a resumed run reports the whole."""
        return {"tokens": int(self.tokens), "seconds": self.seconds, "fit_seconds": self.fit_seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the totals of the run so far."""
        self.tokens, self.seconds, self._before = state_dict["tokens"], state_dict["seconds"], state_dict["fit_seconds"]
