"""A training epoch on the clock, in any loop, and ``redsm5 fit`` on that clock."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from measure import Reading
from torch import Tensor

from redsm5.cli import build_cli
from redsm5.run.fit import train
from redsm5.run.folder import RunFolder
from redsm5.run.lightning_cli import resolved_yaml


class Epoch:
    """Tokens, steps and seconds of the epoch that ended last, from before its first batch to after its last step.

    Attributes:
        padded_tokens: All tokens.
        steps: Optimizer steps.
        took: Seconds.
    """

    def __init__(self) -> None:
        self.padded_tokens = self.steps = 0
        self.took = Reading(0.0, 0.0)
        self._useful: Tensor | int = 0

    def begin(self) -> None:
        """Forget the epoch before and start the clock."""
        self.padded_tokens = self.steps = self._useful = 0
        self._started = Reading.now()

    def count(self, attention_mask: Tensor) -> None:
        """Count a batch, without waiting for the device it is on."""
        self._useful = self._useful + attention_mask.sum()
        self.padded_tokens += attention_mask.numel()
        self.steps += 1

    def end(self) -> None:
        """Stop the clock."""
        self.took = Reading.now().since(self._started)

    def figures(self) -> dict[str, float]:
        """What was measured, for JSON."""
        return {
            "useful_tokens": int(self._useful),
            "padded_tokens": self.padded_tokens,
            "steps": self.steps,
            "processor": self.took.processor,
            "wall": self.took.wall,
        }


class EpochClock(pl.Callback):
    """Measures the training epochs of Lightning's Trainer; the validation after each is no part of them."""

    def __init__(self, measured: Epoch) -> None:
        self.measured = measured

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.measured.begin()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch."""
        self.measured.count(batch.attention_mask)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Stop the clock at the last batch."""
        if trainer.is_last_batch:
            self.measured.end()


def fit_on_the_clock(options: Mapping[str, object], measured: Epoch) -> None:
    """Train as ``redsm5 fit`` does, with all its callbacks.

    Args:
        options: Its options by dotted key.
        measured: Takes what the last epoch took.
    """
    cli = build_cli([f"--{key}={value}" for key, value in options.items()], command="fit")
    folder = RunFolder(Path(cli.config.run_dir))
    folder.prepare(resolved_yaml(cli), fresh=True)
    cli.datamodule.split_manifest = str(folder.split)
    cli.make_trainer = partial(cli.make_trainer, EpochClock(measured))  # type: ignore[method-assign]
    train(cli, folder, None)
