"""The callback by which a trial tells its worker how it goes, and hears that it is pruned."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl

from redsm5.atomic import write_text_atomically
from redsm5.errors import Diverged
from redsm5.hpo.messages import Epoch, Started

PRUNED = "pruned.json"
"""In a run's folder: the epoch after which it was pruned. Written before the training stops, so that a trial that is
taken up again after a kill is still a pruned one."""


class Watcher(pl.Callback):
    """Reports the objective after every validation.

    Optuna's own callback for Lightning only warns where the metric is missing, and needs the study in the process that
    trains; here that process holds a pipe.

    Args:
        objective: A logged metric.
        folder: Of the run.
        asked: ``time.monotonic()`` when the trial was asked for.
        tell: Sends a message; returns the answer.
    """

    def __init__(self, objective: str, folder: Path, asked: float, tell: Callable[[Started | Epoch], bool]) -> None:
        self.objective = objective
        self.folder = folder
        self._asked = asked
        self._tell = tell

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that the training begins."""
        self._tell(Started(trainer.current_epoch, time.monotonic() - self._asked))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report; stop after this epoch where the answer is to prune.

        Raises:
            KeyError: The metric is not logged.
            Diverged: It is not a number.
        """
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if self.objective not in trainer.callback_metrics:
            raise KeyError(f"{self.objective} is not logged; there are {', '.join(sorted(trainer.callback_metrics))}")
        value = float(trainer.callback_metrics[self.objective])
        if not math.isfinite(value):
            raise Diverged(
                f"{self.objective} is {value} after epoch {trainer.current_epoch}: the training has diverged"
            )
        if self._tell(Epoch(trainer.current_epoch, value)):
            write_text_atomically(self.folder / PRUNED, json.dumps({"epoch": trainer.current_epoch}) + "\n")
            trainer.should_stop = True
