"""Rows to train on: which texts are held out, how they are cut and joined, and what a row looks like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redsm5.datamodules.frames import Frame
from redsm5.errors import UserError
from redsm5.pretraining.packing import IntArray, packed, pieces
from redsm5.pretraining.tokens import TextTokens


@dataclass(frozen=True)
class Row:
    """A row of L tokens.

    Attributes:
        ids: int64 [L].
        maskable: bool [L], tokens of texts that are known to the vocabulary.
        begins: bool [L], which begin a word.
        segments: int64 [L], the number of the text in the row, from 1.
        positions: int64 [L], the place in it, special tokens included, from 0.
    """

    ids: IntArray
    maskable: NDArray[np.bool_]
    begins: NDArray[np.bool_]
    segments: IntArray
    positions: IntArray


class Rows:
    """The rows of some texts.

    Args:
        tokens: Of all texts.
        texts: Indices of those that are wanted.
        frame: What stands before and after a text.
        max_length: Longest row.
        join: Whether several texts share a row.
        seed: Of which.
        unknown: The unknown token, which is never to be predicted.

    Attributes:
        lengths: int64 [R], tokens of each row.
    """

    def __init__(
        self,
        tokens: TextTokens,
        texts: IntArray,
        frame: Frame,
        *,
        max_length: int,
        join: bool,
        seed: int,
        unknown: int | None,
    ) -> None:
        self._tokens, self._frame, self._unknown = tokens, frame, unknown
        of, first, self._sizes = pieces(tokens.lengths[texts], max_length - len(frame))
        starts = np.cumsum(tokens.lengths) - tokens.lengths
        self._firsts = starts[texts][of] + first
        framed = self._sizes + len(frame)
        if join:
            rows = packed(framed, max_length, seed)
            self._order = np.array([piece for row in rows for piece in row], dtype=np.int64)
            ends = np.cumsum([len(row) for row in rows], dtype=np.int64)
        else:
            self._order, ends = np.arange(len(framed)), np.arange(1, len(framed) + 1)
        self._bounds = np.concatenate([[0], ends]).astype(np.int64)
        self.lengths = (
            np.add.reduceat(framed[self._order], self._bounds[:-1]) if len(framed) else np.zeros(0, dtype=np.int64)
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Row:
        parts = [self._part(piece) for piece in self._order[self._bounds[index] : self._bounds[index + 1]]]
        ids, maskable, begins = (np.concatenate([part[i] for part in parts]) for i in range(3))
        sizes = [len(part[0]) for part in parts]
        return Row(
            ids,
            maskable,
            begins,
            np.repeat(np.arange(1, len(parts) + 1), sizes),
            np.concatenate([np.arange(size) for size in sizes]),
        )

    def _part(self, piece: int) -> tuple[IntArray, NDArray[np.bool_], NDArray[np.bool_]]:
        """Ids, maskable and begins of a framed piece."""
        before, after = self._frame.before, self._frame.after
        first, size = int(self._firsts[piece]), int(self._sizes[piece])
        ids = self._tokens.ids[first : first + size].astype(np.int64)
        known = np.ones(size, dtype=bool) if self._unknown is None else ids != self._unknown
        around = (np.zeros(len(before), dtype=bool), np.zeros(len(after), dtype=bool))
        return (
            np.concatenate([before, ids, after]),
            np.concatenate([around[0], known, around[1]]),
            np.concatenate([around[0], self._tokens.begins[first : first + size], around[1]]),
        )


def held_out(tokens: TextTokens, share: float) -> tuple[IntArray, IntArray]:
    """Texts to train on and texts to measure the loss on: whole groups, alike for every seed.

    Groups are taken in the order of their hashes while their tokens fit into the share; at least one is.

    Args:
        tokens: Of all texts.
        share: Of all tokens.

    Returns:
        Indices of both, in order.

    Raises:
        UserError: All texts are of one group.
    """
    groups, group = np.unique(tokens.groups, return_inverse=True)
    if len(groups) < 2:
        raise UserError(
            "the texts to pretrain on are of one author, or one text, so that none can be held out; give more texts"
        )
    sizes = np.bincount(group, weights=tokens.lengths)
    room, chosen = share * float(sizes.sum()), np.zeros(len(groups), dtype=bool)
    for index, size in enumerate(sizes.tolist()):
        if size <= room and size:
            chosen[index], room = True, room - size
    if not chosen.any():
        chosen[int(np.argmin(np.where(sizes > 0, sizes, np.inf)))] = True
    out = chosen[group]
    return np.flatnonzero(~out), np.flatnonzero(out)
