"""The fields of Lightning's Trainer that a config may set, with closed choices. Torch-free until built."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import lightning.pytorch as pl


@dataclass(frozen=True)
class TrainerOptions:
    """How Lightning trains."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    """Kind of device; auto takes a GPU where there is one"""
    devices: int | Literal["auto"] = "auto"
    """How many devices"""
    num_nodes: int = 1
    """How many machines"""
    strategy: Literal["auto", "ddp"] = "auto"
    """How several devices share the work"""
    max_epochs: int = 100
    """Epochs at most; early stopping may end the training before"""
    max_steps: int = -1
    """Optimizer steps at most; -1 for no limit"""
    max_time: str | None = None
    """Time at most, as days:hours:minutes:seconds"""
    accumulate_grad_batches: int = 1
    """Batches whose gradients are added up for one optimizer step"""
    gradient_clip_val: float | None = 1.0
    """Largest norm (or value) of the gradient; null or 0 for no clipping"""
    gradient_clip_algorithm: Literal["norm", "value"] = "norm"
    """Whether the norm of all gradients is clipped, or each value"""
    limit_train_batches: int | float = 1.0
    """Training batches per epoch: a number, or a share"""
    limit_val_batches: int | float = 1.0
    """Validation batches: a number, or a share"""
    benchmark: bool = True
    """Let cuDNN look for the fastest kernels"""
    deterministic: bool = False
    """Refuse operations on CUDA that are not deterministic; on CPU runs repeat to the bit without it"""
    detect_anomaly: bool = False
    """Find the operation that made a NaN; slow"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name in ("num_nodes", "max_epochs", "accumulate_grad_batches"):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if self.devices != "auto" and self.devices < 1:
            raise ValueError(f"devices is {self.devices}; it must be at least 1, or auto")
        if self.max_steps < -1 or self.max_steps == 0:
            raise ValueError(f"max_steps is {self.max_steps}; it must be at least 1, or -1 for no limit")
        if self.gradient_clip_val is not None and not self.gradient_clip_val >= 0:
            raise ValueError(f"gradient_clip_val is {self.gradient_clip_val}; it must be at least 0, or null")
        for name in ("limit_train_batches", "limit_val_batches"):
            value = getattr(self, name)
            if value <= 0 or (isinstance(value, float) and value > 1):
                raise ValueError(f"{name} is {value}; it must be a share up to 1.0, or a whole number of at least 1")

    def build(self, **settings: Any) -> pl.Trainer:
        """The Trainer.

        Args:
            settings: What the command adds: precision, callbacks, plugins, ...
        """
        from lightning.pytorch import Trainer

        return Trainer(
            **{
                **asdict(self),
                "logger": False,
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
                "enable_progress_bar": sys.stderr.isatty(),
                "use_distributed_sampler": False,  # our sampler knows the ranks
                **settings,
            }
        )
