"""Options of what is kept of a training. Torch-free."""

from __future__ import annotations

import math
from dataclasses import dataclass

from redsm5.checkpoints.retention import MOST_BEST


@dataclass(frozen=True)
class Checkpointing:
    """Which checkpoints are written and kept."""

    keep_last: int = 1
    """Checkpoints to go on from; 0: an interrupted run starts again"""
    keep_best: int = 1
    """Weights of the best epochs, 2 at most; 0: the run is evaluated as it ended, and leaves no model"""
    max_gb: float = 10.0
    """Limit in GB (10^9 bytes) on all checkpoints of the run together"""
    every_minutes: float | None = None
    """Also write one to go on from within an epoch, this often; null for the end of each epoch only"""
    min_seconds: float = 0.0
    """Seconds after a start or such a one in which the end of an epoch writes none, unless it is the last or a best"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.keep_last < 0:
            raise ValueError(f"keep_last is {self.keep_last}; it must be at least 0")
        if not 0 <= self.keep_best <= MOST_BEST:
            raise ValueError(f"keep_best is {self.keep_best}; it must be between 0 and {MOST_BEST}")
        if not (math.isfinite(self.max_gb) and self.max_gb > 0):
            raise ValueError(f"max_gb is {self.max_gb}; it must be a finite number above 0")
        if self.every_minutes is not None and not (math.isfinite(self.every_minutes) and self.every_minutes >= 0):
            raise ValueError(
                f"every_minutes is {self.every_minutes}; it must be a finite number of at least 0, or null"
            )
        if not (math.isfinite(self.min_seconds) and self.min_seconds >= 0):
            raise ValueError(f"min_seconds is {self.min_seconds}; it must be a finite number of at least 0")
        if self.every_minutes is not None and not self.keep_last:
            raise ValueError("every_minutes is set and keep_last is 0, so that nothing is kept; set keep_last to 1")
