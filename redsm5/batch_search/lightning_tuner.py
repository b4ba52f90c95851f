"""Lightning's Tuner over our probes: it doubles and halves, they run in processes of their own."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.io import CheckpointIO
from lightning.pytorch.tuner.tuning import Tuner
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from redsm5.batch_search.search import TooLarge, Tried
from redsm5.run.evaluation import interruptible


def tuned(probe: Callable[[int], Tried], *, mode: Literal["power", "binsearch"], most: int) -> Tried:
    """The largest size that Lightning's Tuner finds; it has been tried itself.

    Args:
        probe: Tries a size.
        mode: ``power`` doubles until a size fails; ``binsearch`` goes on between the last two.
        most: The largest size of interest, at least 1.

    Raises:
        TooLarge: A single one does not fit.
    """
    model = _Sized(probe, most)
    with interruptible(), _silence():
        trainer = pl.Trainer(
            accelerator="cpu", plugins=[_NoFile()], logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, max_epochs=1,
        )  # fmt: skip
        Tuner(trainer).scale_batch_size(
            model, mode=mode, steps_per_trial=1, init_val=1, batch_arg_name="probe_size", margin=0.0, max_val=most
        )
    # What it returns may be untested: at the limit, and where it has halved or shrunk a size.
    if most not in model.tried and all(tried.fits for tried in model.tried.values()):
        model.attempt(most)
    return max((tried for tried in model.tried.values() if tried.fits), key=lambda tried: tried.size)


class _NoFile(CheckpointIO):
    """Keeps what the Tuner saves before it begins, and restores at its end, without a file that a kill would leave."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Keep it."""
        self._kept = checkpoint

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """What was kept."""
        return self._kept

    def remove_checkpoint(self, path: Any) -> None:
        """Keep nothing."""
        self._kept = {}


class _Sized(pl.LightningModule):
    """Has a size, and a training step that tries it."""

    def __init__(self, probe: Callable[[int], Tried], most: int) -> None:
        super().__init__()
        self.probe_size = 1
        self.tried: dict[int, Tried] = {}
        self._probe = probe
        self._most = most
        self._weight = nn.Parameter(torch.zeros(()))

    def attempt(self, size: int) -> Tried:
        """Try a size, once."""
        if size not in self.tried:
            self.tried[size] = self._probe(size)
            if size == 1 and not self.tried[size].fits:
                raise TooLarge
        return self.tried[size]

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """Nothing, or the error by which the Tuner knows that memory was not enough."""
        if not self.attempt(self.probe_size).fits:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self._weight * 0

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """More items than the largest size: the Tuner goes no further than there are."""
        return DataLoader(TensorDataset(torch.zeros(self._most + 1)), batch_size=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Any."""
        return torch.optim.SGD(self.parameters(), lr=0.0)


@contextmanager
def _silence() -> Iterator[None]:
    """Neither warnings nor messages of Lightning about a training that is none."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
