"""The callback by which a trial tells its worker how it goes, and hears that it is pruned."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl

from redsm5.atomic import write_text_atomically
from redsm5.errors import Diverged, UserError
from redsm5.hpo.messages import PRUNED, Epoch, Started


class Watcher(pl.Callback):
    """Reports a metric after every validation.

    Optuna's own callback for Lightning only warns where the metric is missing, and needs the study in the process that
    trains; here that process holds a pipe.

    Args:
        objective: The metric that is optimised.
        prune_by: The metric that is reported.
        folder: Of the run.
        asked: ``time.monotonic()`` when the trial was asked for.
        tell: Sends a message; returns the answer.
    """

    def __init__(
        self, objective: str, prune_by: str, folder: Path, asked: float, tell: Callable[[Started | Epoch], bool]
    ) -> None:
        self.objective, self.prune_by = objective, prune_by
        self.folder = folder
        self._asked = asked
        self._tell = tell

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say that the training begins; one that was pruned before it was cut off trains no further."""
        self._tell(Started(trainer.current_epoch, time.monotonic() - self._asked))
        if self._is_pruned(before=trainer.current_epoch):
            trainer.should_stop = True

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report; stop after this epoch where the answer is to prune.

        Raises:
            UserError: A metric is not logged.
            Diverged: It is not a number.
        """
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        logged = trainer.callback_metrics
        for name in (self.objective, self.prune_by):
            if name not in logged:
                raise UserError(f"{name} is not logged; choose among {', '.join(sorted(logged))}")
            if not math.isfinite(logged[name]):
                said = f"{name} is {float(logged[name])} after epoch {trainer.current_epoch}"
                raise Diverged(f"{said}: the training has diverged")
        prunes = self._tell(Epoch(trainer.current_epoch, float(logged[self.prune_by])))
        if self._is_pruned(before=trainer.current_epoch + 1):
            trainer.should_stop = True
        elif prunes:
            write_text_atomically(self.folder / PRUNED, json.dumps({"epoch": trainer.current_epoch}) + "\n")
            trainer.should_stop = True

    def _is_pruned(self, *, before: int) -> bool:
        path = self.folder / PRUNED
        return path.exists() and int(json.loads(path.read_text(encoding="utf-8"))["epoch"]) < before
