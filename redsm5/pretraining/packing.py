"""Which pieces of texts share a row. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]

PACKABLE = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert", "mpnet")
"""Families that take a mask per pair of tokens: in a packed row a text then sees itself alone.

DeBERTa multiplies its embeddings by the mask and takes one per token only; Longformer and BigBird have block patterns
of their own; ModernBERT would lose its local layers. Positions that begin again in every text, without such a mask,
leak in every family."""


def pieces(lengths: IntArray, room: int) -> tuple[IntArray, IntArray, IntArray]:
    """Texts cut where they do not fit into a row.

    The pieces of a text are about equally long, so that no scrap of a few tokens is left at its end.

    Args:
        lengths: [N], tokens of each text.
        room: Tokens that a row has room for.

    Returns:
        Of each piece its text, its first token in the text, and its length; texts without tokens have none.
    """
    counts = -(-lengths // room)
    text = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(text)) - np.repeat(np.cumsum(counts) - counts, counts)
    of, total = counts[text], lengths[text]
    first = number * total // of
    return text, first, (number + 1) * total // of - first


def packed(lengths: IntArray, room: int, seed: int) -> list[list[int]]:
    """Pieces joined to full rows: each, in a random order, goes into the fullest row that it fits into.

    Args:
        lengths: [P], tokens of each piece with what stands around it, at most ``room``.
        room: Tokens of a row.
        seed: Of the order.

    Returns:
        The pieces of each row.
    """
    rows: list[list[int]] = []
    open_rows: list[list[int]] = [[] for _ in range(room + 1)]  # by free tokens
    levels = 0  # bit f is set where a row with f free tokens is open
    for piece in np.random.default_rng(seed).permutation(len(lengths)).tolist():
        length = int(lengths[piece])
        fitting = levels >> length << length
        if fitting:
            free = (fitting & -fitting).bit_length() - 1
            row = open_rows[free].pop()
            if not open_rows[free]:
                levels ^= 1 << free
        else:
            row, free = len(rows), room
            rows.append([])
        rows[row].append(piece)
        if left := free - length:
            open_rows[left].append(row)
            levels |= 1 << left
    return rows
