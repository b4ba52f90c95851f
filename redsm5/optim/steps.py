"""How many optimizer steps a training has. Pure."""

from __future__ import annotations

import math


def epoch_steps(batches: int, *, accumulate: int, limit: int | float) -> int:
    """Optimizer steps of an epoch on each rank: the last batch of an epoch always steps.

    Args:
        batches: Training batches of an epoch on each rank.
        accumulate: Batches per optimizer step.
        limit: Batches that are used: a whole number of them, or a share.
    """
    used = min(limit, batches) if isinstance(limit, int) else int(batches * limit)
    return math.ceil(used / accumulate)


def training_steps(per_epoch: int, *, max_epochs: int | None, max_steps: int) -> int:
    """Optimizer steps of a training that nothing ends early.

    Args:
        per_epoch: From ``epoch_steps``.
        max_epochs: Epochs at most; below 1, or None, for no limit, which counts as one.
        max_steps: Steps at most; below 0 for no limit.
    """
    steps = per_epoch * (max_epochs if max_epochs is not None and max_epochs > 0 else 1)
    return steps if max_steps < 0 else min(steps, max_steps)
