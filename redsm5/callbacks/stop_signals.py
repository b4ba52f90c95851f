"""Ctrl-C and SIGTERM end a training at the next step boundary, after a checkpoint; the same once more, at once."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType
from typing import Any

import lightning.pytorch as pl

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
"""Slurm sends SIGTERM, or SIGUSR1 where a job asks for it with ``--signal``."""


class RunStopped(Exception):
    """The training was asked to stop and has been saved.

    Args:
        number: Of the signal.
        said: Where the training stands.
    """

    def __init__(self, number: int, said: str) -> None:
        super().__init__(said)
        self.number = number


class StopSignals(pl.Callback):
    """Notes the signals; whoever saves asks ``asked``."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._seen: set[int] = set()
        self._before: dict[int, Any] = {}

    def asked(self, trainer: pl.Trainer) -> bool:
        """Whether the training is to stop: the same answer on every rank."""
        mine = self.received is not None
        if trainer.world_size == 1:
            return mine
        return bool(trainer.strategy.reduce_boolean_decision(mine, all=False))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over from Lightning, which would end between two steps of an accumulation."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in self._seen:
            raise KeyboardInterrupt
        self._seen.add(number)
        if self.received is not None:  # a scheduler's word to all processes of a job, and that of who started this one
            return
        self.received = number
        print("stopping after this step, or this validation; once more to stop at once", file=sys.stderr, flush=True)
