"""A batch of masked rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from redsm5.pretraining.masker import Masker
from redsm5.pretraining.rows import Row

T = TypeVar("T", np.int64, np.bool_)


@dataclass
class MaskedBatch:
    """W rows of at most L tokens.

    Attributes:
        input_ids: int64 [W, L], with masks.
        attention_mask: int64 [W, L], 1 for tokens, 0 for padding.
        labels: int64 [W, L], the token to predict, or -100.
        segments: int64 [W, L], the number of the text in its row, from 1; 0 for padding. None where a row holds one.
        positions: int64 [W, L], the place of a token in its text, from 0; None likewise.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor
    segments: Tensor | None = None
    positions: Tensor | None = None

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> MaskedBatch:
        """The same batch on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> MaskedBatch:
        """The same batch in page-locked memory; the DataLoader calls it."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> MaskedBatch:
        changed = [None if value is None else change(value) for value in (self.segments, self.positions)]
        return MaskedBatch(change(self.input_ids), change(self.attention_mask), change(self.labels), *changed)


def masked_batch(rows: Sequence[Row], masker: Masker, seed: Sequence[int], *, pad_id: int, joined: bool) -> MaskedBatch:
    """Rows padded to the longest of them, and masked.

    Args:
        rows: The rows.
        masker: Masks them.
        seed: What decides the draws.
        pad_id: Token that fills up.
        joined: Whether a row may hold several texts.
    """
    input_ids = torch.from_numpy(_padded([row.ids for row in rows], pad_id))
    segments = _padded([row.segments for row in rows], 0)
    maskable, begins = _padded([row.maskable for row in rows], False), _padded([row.begins for row in rows], False)
    masked, labels = masker(input_ids, maskable, begins, seed)
    batch = MaskedBatch(masked, torch.from_numpy((segments > 0).astype(np.int64)), labels)
    if joined:
        batch.segments = torch.from_numpy(segments)
        batch.positions = torch.from_numpy(_padded([row.positions for row in rows], 0))
    return batch


def _padded(values: Sequence[NDArray[T]], fill: object) -> NDArray[T]:
    out: NDArray[T] = np.full((len(values), max(map(len, values))), fill, dtype=values[0].dtype)
    for row, value in zip(out, values, strict=True):
        row[: len(value)] = value
    return out
