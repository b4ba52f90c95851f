"""Lightning's Tuner over our probes: it doubles and halves, they run in processes of their own."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.tuner.tuning import Tuner
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from redsm5.batch_search.search import TooLarge, Tried


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
    with tempfile.TemporaryDirectory(prefix="redsm5-probe-") as folder, _silence():
        trainer = pl.Trainer(
            accelerator="cpu", default_root_dir=folder, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, max_epochs=1,
        )  # fmt: skip
        Tuner(trainer).scale_batch_size(
            model, mode=mode, steps_per_trial=1, init_val=1, batch_arg_name="probe_size", margin=0.0, max_val=most
        )
    # What it returns may be untested: at the limit, and where it has halved or shrunk a size.
    if most not in model.tried and all(tried.fits for tried in model.tried.values()):
        model.attempt(most)
    return max((tried for tried in model.tried.values() if tried.fits), key=lambda tried: tried.size)


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
                raise TooLarge(self.tried[size])
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
