"""Optimizers of one running average or none, as options. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redsm5.optim.optimizer import Optimizer, Rates, check_betas

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class SGD(Rates, Optimizer):
    """Stochastic gradient descent without momentum: its rates are hundreds of times those of Adam."""

    lr: float = 5e-3
    head_lr: float = 5e-2
    peft_lr: float = 5e-2

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The fused SGD of torch."""
        from redsm5.optim.fused import ClippableSGD

        return ClippableSGD(groups, fused=True)

    @property
    def has_momentum(self) -> bool:
        """There is none."""
        return False


@dataclass(frozen=True)
class SGDMomentum(Rates, Optimizer):
    """Stochastic gradient descent with momentum (Sutskever et al. 2013)."""

    lr: float = 5e-3
    head_lr: float = 5e-2
    peft_lr: float = 5e-2
    momentum: float = 0.9
    """Share of the last step that is taken again"""
    nesterov: bool = False
    """Nesterov's momentum: look ahead by the momentum before the gradient is added"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum}; it must be at least 0 and below 1")
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov is true and momentum is 0; give a momentum above 0, or set nesterov to false")

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The fused SGD of torch."""
        from redsm5.optim.fused import ClippableSGD

        return ClippableSGD(groups, momentum=self.momentum, nesterov=self.nesterov, fused=True)

    @property
    def has_momentum(self) -> bool:
        """With a momentum above 0."""
        return self.momentum > 0


@dataclass(frozen=True)
class Lion(Rates, Optimizer):
    """The sign of an interpolated momentum (Chen et al. 2023): smaller rates than Adam's, more decay."""

    lr: float = 5e-6
    head_lr: float = 3e-5
    peft_lr: float = 5e-5
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
    """Weight of the momentum in the step, and its decay"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        check_betas(self.betas)

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The Lion of lion-pytorch."""
        from lion_pytorch import Lion as LibraryLion

        built: torch.optim.Optimizer = LibraryLion(groups, betas=self.betas)
        return built
