"""What a probe measures. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Peaks:
    """Peak memory of a probe in bytes, by phase."""

    passes: int
    """Forward and backward passes of training batches, with optimizer states and accumulated gradients there"""
    step: int
    """The optimizer step; it does not depend on the batch"""
    evaluation: int
    """A validation batch, with weights and optimizer states there"""

    @property
    def training(self) -> int:
        """The larger one of passes and step."""
        return max(self.passes, self.step)

    @property
    def largest(self) -> int:
        """The largest of all phases."""
        return max(self.passes, self.step, self.evaluation)


@dataclass(frozen=True)
class Reading:
    """What came of trying a number of windows.

    Attributes:
        windows: In the training batch.
        eval_windows: In the evaluation batch.
        fits: Whether it ran within the limit.
        peaks: None where it did not run to its end.
        seconds: Time that it took.
        failure: Why it did not fit, in words.
    """

    windows: int
    eval_windows: int
    fits: bool
    peaks: Peaks | None = None
    seconds: float = 0.0
    failure: str | None = None
