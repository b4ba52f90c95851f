"""Reads the peak memory of each phase of a training step off the hooks of the Trainer."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from torch.optim import Optimizer

from redsm5.batch_search.limits import Memory
from redsm5.batch_search.peaks import Peaks


class PhasePeaks(pl.Callback):
    """Measures one short fit.

    Args:
        memory: Of the device.
        limit: Bytes that the process may use from the second batch on; None for no limit. Set only then, since the
            first one starts threads and loads libraries, whose failures are no clean errors.
    """

    def __init__(self, memory: Memory, limit: int | None) -> None:
        self._memory = memory
        self._limit = limit
        self._passes = self._step = self._evaluation = 0
        self._stepping = False

    @property
    def peaks(self) -> Peaks:
        """What was measured."""
        return Peaks(self._passes, self._step, self._evaluation)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The passes begin."""
        self._stepping = False
        if batch_idx == 1 and self._limit is not None:
            self._memory.limit(self._limit)
        self._memory.start()

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The passes have ended."""
        self._passes = max(self._passes, self._now())

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """The step begins."""
        self._stepping = True
        self._memory.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step has ended, if there was one."""
        if self._stepping:
            self._step = max(self._step, self._now())

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The evaluation begins."""
        self._memory.start()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The evaluation has ended, and with it the fit."""
        self._evaluation = self._now()
        trainer.should_stop = True

    def _now(self) -> int:
        return self._memory.peak() + self._memory.overhead()
