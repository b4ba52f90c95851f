"""The batch plan: which examples make which batch, for a whole epoch, before it starts. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from redsm5.datamodules.batching import Batching
from redsm5.datamodules.streams import BATCH_STREAM

IntArray = NDArray[np.int64]

LENGTH_STEP = 8
"""Lengths that round up to the same multiple count as equal, and equal ones are mixed anew in every epoch. Larger steps
mix more and pad more: at this one about 1 % of the tokens of short batches."""


def plan(
    windows: IntArray,
    lengths: IntArray,
    batching: Batching,
    *,
    seed: int,
    epoch: int,
    training: bool,
    world_size: int = 1,
) -> list[list[IntArray]]:
    """Batches of an epoch.

    Examples are sorted by length, so that a batch holds windows of about one length; in training equal ones are mixed
    and so are the batches. Cutting all examples in order, rather than shuffled chunks of them, makes the number of
    batches the same in every epoch, since the sorted sizes are. Batches that ranks work on at the same time are
    neighbours in size.

    Args:
        windows: [E], windows of each example.
        lengths: [E], tokens of its longest window, special tokens included.
        batching: How to cut.
        seed: Of the run.
        epoch: Counted from 0; without effect in evaluation.
        training: Whether to mix, and which limit to cut by.
        world_size: Number of ranks.

    Returns:
        Steps, each with one batch per rank, as indices of examples. Every example is in one batch, except that the last
        step may repeat batches of the first to give each rank one.
    """
    if not len(windows):
        return []
    rng = np.random.default_rng((seed, epoch, BATCH_STREAM))
    rounded = np.minimum(-(-lengths // LENGTH_STEP) * LENGTH_STEP, lengths.max())
    ties = rng.permutation(len(windows)) if training else np.arange(len(windows))
    order = np.lexsort((ties, windows, rounded) if batching.by_windows else (ties, rounded))
    ends = batching.ends(windows[order], rounded[order], training=training)
    batches = [order[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    steps = [
        [batches[(first + rank) % len(batches)] for rank in range(world_size)]
        for first in range(0, len(batches), world_size)
    ]
    return [steps[i] for i in rng.permutation(len(steps))] if training else steps
