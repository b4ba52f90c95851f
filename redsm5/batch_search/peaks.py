"""What a probe says: peak memory by phase. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peaks:
    """Peak memory of a probe in bytes, by phase.

    Attributes:
        passes: Forward and backward pass of a training batch, with weights, gradients and optimizer states there.
        step: The optimizer step; it does not depend on the batch.
        evaluation: A validation batch, with weights, gradients and optimizer states there.
    """

    passes: int
    step: int
    evaluation: int
