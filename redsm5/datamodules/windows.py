"""Windows over the tokens of a post: where they lie, and which of them a training step sees. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def window_slices(n_tokens: int, room: int, stride: int) -> IntArray:
    """Windows that cover all tokens.

    A post that fits has one window of its own length. Otherwise every window is full: the last one is shifted back to
    end with the post, so that it may share more than ``stride`` tokens with its neighbour. With full windows the padded
    size of a post is known before it is known which windows are sampled.

    Args:
        n_tokens: Tokens of the post, special tokens not counted.
        room: Tokens of the post that fit into a window, at least 1.
        stride: Tokens shared by neighbours, below ``room``.

    Returns:
        [n, 2], first token and end (exclusive) of each window, ascending.
    """
    if n_tokens <= room:
        return np.array([[0, n_tokens]], dtype=np.int64)
    starts = np.arange(0, n_tokens - room, room - stride, dtype=np.int64)
    starts = np.append(starts, n_tokens - room)
    return np.stack([starts, starts + room], axis=1)


def window_count(n_tokens: int, room: int, stride: int) -> int:
    """How many windows ``window_slices`` gives."""
    if n_tokens <= room:
        return 1
    return 1 + -(-(n_tokens - room) // (room - stride))


def select_windows(priority: IntArray, max_windows: int | None, rng: np.random.Generator) -> IntArray:
    """Which windows of a post a training step sees: the highest priority first, a random choice among equals.

    Args:
        priority: [n], 3 for windows that hold evidence whole, 2 for those that cut some, 1 for those that hold a hard
            negative, else 0.
        max_windows: The most windows; None for all.
        rng: Source of the choice.

    Returns:
        Indices of the windows, ascending.
    """
    if max_windows is None or len(priority) <= max_windows:
        return np.arange(len(priority), dtype=np.int64)
    order = np.lexsort((rng.random(len(priority)), -priority))
    return np.sort(order[:max_windows])


def inside(spans: IntArray, windows: IntArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which spans of tokens lie whole in which windows, and which are cut by them.

    Args:
        spans: [s, 2], first and last token (inclusive).
        windows: [n, 2], first token and end (exclusive).

    Returns:
        Two bool [n, s]: whole inside, and partly inside.
    """
    first, last = spans[None, :, 0], spans[None, :, 1]
    start, end = windows[:, :1], windows[:, 1:]
    whole = (first >= start) & (last < end)
    return whole, (first < end) & (last >= start) & ~whole
