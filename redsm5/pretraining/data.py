"""The DataModule of a stage: tokens on disk -> rows -> masked batches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from redsm5.datamodules.batching import TokenBudget
from redsm5.datamodules.frames import Template
from redsm5.datamodules.loading import MOST_WORKERS, usable_cores
from redsm5.datamodules.plan import plan
from redsm5.errors import UserError
from redsm5.pretraining.batch import MaskedBatch, masked_batch
from redsm5.pretraining.masker import Masker
from redsm5.pretraining.options import MaskingStyle
from redsm5.pretraining.packing import IntArray
from redsm5.pretraining.rows import Rows, held_out
from redsm5.pretraining.tokens import TextTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

HELD_OUT_EPOCH = 2**31
"""Stands for the epoch in the masks of the held-out texts: they are the same after every epoch."""

PlannedRows = tuple[int, tuple[int, ...]]
"""An epoch, and the rows of a batch of it."""


@dataclass(frozen=True)
class RowSettings:
    """How texts become batches.

    Attributes:
        style: What is masked together.
        probability: Share of the tokens that are masked.
        max_length: Longest row in tokens.
        join: Whether several texts share a row.
        batch_tokens: Padded tokens of a batch.
        held_out: Share of the texts that the loss is measured on.
        seed: Of masks, batches and joined rows.
    """

    style: MaskingStyle
    probability: float
    max_length: int
    join: bool
    batch_tokens: int
    held_out: float
    seed: int


class MaskedTexts(pl.LightningDataModule):
    """Masked rows of texts, a share of which is held out.

    Args:
        tokens: Of the texts.
        tokenizer: The tokenizer.
        settings: How they become batches.
        workers: Processes that build batches; None for as many as cores (12 at most) with a GPU, else none.

    Raises:
        UserError: Nothing can be held out, or the tokenizer cannot mask.
    """

    def __init__(
        self,
        tokens: TextTokens,
        tokenizer: PreTrainedTokenizerFast,
        settings: RowSettings,
        workers: int | None = None,
    ) -> None:
        super().__init__()
        self.tokenizer, self.settings = tokenizer, settings
        self._workers = workers
        frame = Template(tokenizer).alone()
        room = settings.max_length - len(frame)
        if room < 1:
            raise UserError(
                f"pretraining.max_length is {settings.max_length}, which leaves no token for a text; raise it"
            )
        parts = [
            Rows(
                tokens,
                texts,
                frame,
                max_length=settings.max_length,
                join=settings.join,
                seed=settings.seed,
                unknown=tokenizer.unk_token_id,
            )
            for texts in held_out(tokens, settings.held_out)
        ]
        for name, rows in zip(("train on", "hold out"), parts, strict=True):
            if not len(rows):
                raise UserError(f"the texts to {name} hold no token; give more texts")
        self.training_rows, self.held_out_rows = parts
        self._masker = Masker(tokenizer, settings.style, settings.probability)
        self._position = (0, 0)

    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return len(self._sampler(self.training_rows, training=True))

    def train_dataloader(self) -> DataLoader[MaskedBatch]:
        """Masked batches, mixed and masked anew in every epoch, without those that a checkpoint has behind it."""
        return self._loader(self.training_rows, training=True)

    def val_dataloader(self) -> DataLoader[MaskedBatch]:
        """The held-out rows, masked alike every time."""
        return self._loader(self.held_out_rows, training=False)

    def state_dict(self) -> dict[str, int]:
        """Where in the batch plan the training stands: the next epoch, and how many batches of it are behind."""
        trainer = self.trainer
        assert trainer is not None
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        whole = batches >= trainer.num_training_batches
        return {"epoch": trainer.current_epoch + whole, "batches": 0 if whole else batches}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on from there."""
        self._position = (state_dict["epoch"], state_dict["batches"])

    def _sampler(self, rows: Rows, *, training: bool) -> _RowSampler:
        position = self._position if training else (0, 0)
        return _RowSampler(rows.lengths, self.settings, training=training, position=position)

    def _loader(self, rows: Rows, *, training: bool) -> DataLoader[MaskedBatch]:
        on_gpu = torch.cuda.is_available()
        workers = self._workers
        if workers is None:
            workers = min(MOST_WORKERS, usable_cores()) if on_gpu else 0
        if workers:
            os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        return DataLoader(
            _Batches(rows, self._masker, self.settings, int(self.tokenizer.pad_token_id or 0)),
            sampler=self._sampler(rows, training=training),
            batch_size=None,
            num_workers=workers,
            collate_fn=_as_it_is,
            pin_memory=on_gpu,
            generator=torch.Generator().manual_seed(self.settings.seed),
        )


class _Batches(Dataset[MaskedBatch]):
    """From planned rows to a masked batch; the masks depend on (seed, epoch, first row) alone."""

    def __init__(self, rows: Rows, masker: Masker, settings: RowSettings, pad_id: int) -> None:
        self.rows, self.masker, self.settings, self.pad_id = rows, masker, settings, pad_id

    def __getitem__(self, planned: PlannedRows) -> MaskedBatch:
        epoch, rows = planned
        # What is held out does not depend on the seed of a run: losses then compare.
        seed = (0 if epoch == HELD_OUT_EPOCH else self.settings.seed, epoch, rows[0])
        chosen = [self.rows[row] for row in rows]
        return masked_batch(chosen, self.masker, seed, pad_id=self.pad_id, joined=self.settings.join)


class _RowSampler(Sampler[PlannedRows]):
    def __init__(self, lengths: IntArray, settings: RowSettings, *, training: bool, position: tuple[int, int]) -> None:
        self._lengths, self._seed, self._training, self._position = lengths, settings.seed, training, position
        self._budget = TokenBudget(settings.batch_tokens, settings.batch_tokens)
        self._epoch = position[0]
        self._steps = len(self._plan(0))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[PlannedRows]:
        epoch, start = self._epoch, self._position[1] if self._epoch == self._position[0] else 0
        for rows in self._plan(epoch)[start:]:
            yield epoch if self._training else HELD_OUT_EPOCH, tuple(rows.tolist())

    def _plan(self, epoch: int) -> list[IntArray]:
        windows = np.ones(len(self._lengths), dtype=np.int64)
        training = self._training
        steps = plan(windows, self._lengths, self._budget, seed=self._seed, epoch=epoch, training=training)
        return [batch for (batch,) in steps]


def _as_it_is(batch: Any) -> Any:
    return batch
