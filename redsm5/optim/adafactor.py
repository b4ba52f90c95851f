"""Adafactor as an option. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from redsm5.optim.curves import relative_step
from redsm5.optim.optimizer import Optimizer, Part, check_rates

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Adafactor(Optimizer):
    """Adam with a factored second moment and no first (Shazeer and Stern 2018): it needs little memory."""

    lr: float | None = None
    """Peak learning rate of the encoder; 5e-4 if not given, and not accepted with relative_step"""
    head_lr: float | None = None
    """Peak learning rate of pooling, aggregation and heads; 2e-3 if not given, and not accepted with relative_step"""
    peft_lr: float | None = None
    """Peak learning rate of PEFT parameters; 4e-3 if not given, and not accepted with relative_step"""
    layer_decay: float = 1.0
    """Factor on the encoder's rate from each layer to the one below it, the embeddings lowest; 1 for one rate"""
    weight_decay: float = 0.01
    """Weight decay of matrices; biases and norms have none"""
    scale_parameter: bool = True
    """Multiply the rate of a tensor by the root mean square of its values; without it use Adam's rates"""
    relative_step: bool = False
    """Let the optimizer find its rate from the number of steps; it takes no schedule then"""
    warmup_init: bool = False
    """With relative_step: start at 1e-6 and rise in proportion to the steps, to 1e-2 at most"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        check_rates(self)
        if self.warmup_init and not self.relative_step:
            raise ValueError("warmup_init is true; it needs relative_step true")
        if not self.relative_step:
            return
        for name in ("lr", "head_lr", "peft_lr"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is {getattr(self, name)}; with relative_step it must be null")
        if self.layer_decay != 1:
            raise ValueError(f"layer_decay is {self.layer_decay}; with relative_step all layers have one rate: set 1")

    def rate(self, part: Part) -> float | None:
        """The rate of a part; None with relative steps."""
        if self.relative_step:
            return None
        given = super().rate(part)
        return {"encoder": 5e-4, "head": 2e-3, "peft": 4e-3}[part] if given is None else given

    def own_rate(self) -> Callable[[int], float]:
        """With relative steps: the rate of a step, counted from 0, before it is scaled by the tensor."""
        return partial(relative_step, warmup_init=self.warmup_init)

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The Adafactor of transformers."""
        if self.relative_step:
            from redsm5.optim.relative_adafactor import RelativeAdafactor

            return RelativeAdafactor(groups, scale_parameter=self.scale_parameter, warmup_init=self.warmup_init)
        from transformers.optimization import Adafactor as LibraryAdafactor

        built: torch.optim.Optimizer = LibraryAdafactor(  # type: ignore[no-untyped-call]  # transformers types it not
            groups, scale_parameter=self.scale_parameter, relative_step=False
        )
        return built

    @property
    def has_momentum(self) -> bool:
        """There is none."""
        return False
