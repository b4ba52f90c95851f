"""Options of how a run computes. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Runtime:
    """How the run computes."""

    threads: int | None = None
    """CPU threads (default: PyTorch's choice); on CPU the same seed and threads give the same metrics to the bit"""
    precision: Literal["none", "bf16", "fp16"] = "none"
    """Mixed precision: none (fp32), bf16, or fp16 with loss scaling (CUDA only)"""
    tf32: bool = True
    """Allow TF32 matrix products on CUDA"""

    def __post_init__(self) -> None:
        """Refuse impossible thread counts."""
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads is {self.threads}; it must be at least 1")
