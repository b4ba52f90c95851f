"""The fields of Lightning's Trainer that a config may set, with closed choices. Torch-free until built."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from redsm5.errors import UserError

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
    accumulate_grad_batches: int = 1
    """Batches whose gradients are added up for one optimizer step"""
    gradient_clip_val: float | None = 1.0
    """Largest norm (or value) of the gradient; null or 0 for no clipping"""
    gradient_clip_algorithm: Literal["norm", "value"] = "norm"
    """Whether the norm of all gradients is clipped, or each value"""
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
        if self.gradient_clip_val is not None and not self.gradient_clip_val >= 0:
            raise ValueError(f"gradient_clip_val is {self.gradient_clip_val}; it must be at least 0, or null")
        if self.gradient_clip_algorithm != "norm" and not self.gradient_clip_val:
            raise ValueError(
                f"gradient_clip_algorithm is {self.gradient_clip_algorithm}, but gradient_clip_val is "
                f"{'null' if self.gradient_clip_val is None else self.gradient_clip_val}, so that nothing is clipped; "
                "set a gradient_clip_val, or norm"
            )

    def build(self, **settings: Any) -> pl.Trainer:
        """The Trainer.

        Args:
            settings: What the command adds: precision, callbacks, plugins, ...

        Raises:
            UserError: This machine does not have the devices.
        """
        from lightning.fabric.utilities.exceptions import MisconfigurationException
        from lightning.pytorch import Trainer

        ours = {
            **asdict(self),
            "logger": False,
            "num_sanity_val_steps": 0,
            "enable_model_summary": False,
            "enable_progress_bar": sys.stderr.isatty(),
            "use_distributed_sampler": False,  # our sampler knows the ranks
        }
        try:
            return Trainer(**{**ours, **settings})
        except MisconfigurationException as error:
            asked = f"trainer.accelerator {self.accelerator}, trainer.devices {self.devices}"
            reason = " ".join(str(error).split())
            raise UserError(f"this machine cannot run with {asked}: {reason}; use auto for both") from error
