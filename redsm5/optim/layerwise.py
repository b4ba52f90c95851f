"""Optimizers that scale the step of every tensor by norms, as options. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redsm5.optim.optimizer import Optimizer, Rates, check_betas, check_eps

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LAMB(Rates, Optimizer):
    """Adam whose step of a tensor is in proportion to its norm, for large batches (You et al. 2020)."""

    lr: float = 5e-4
    head_lr: float = 2e-3
    peft_lr: float = 4e-3
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running averages of the gradient and of its square"""
    eps: float = 1e-6
    """Added to the denominator"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        check_betas(self.betas)
        check_eps(self.eps)

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The Lamb of torch-optimizer without its bias correction, which comes after the trust ratio and so is wrong.

        The norm of a tensor counts as at most 10, as in the code that the library follows.
        """
        from torch_optimizer import Lamb

        return Lamb(groups, betas=self.betas, eps=self.eps, clamp_value=10.0, debias=False)


@dataclass(frozen=True)
class NovoGrad(Rates, Optimizer):
    """Momentum over gradients that are divided by a running norm per tensor (Ginsburg et al. 2019)."""

    lr: float = 2e-4
    head_lr: float = 1e-3
    peft_lr: float = 1e-3
    weight_decay: float = 0.001
    betas: tuple[float, float] = (0.95, 0.98)
    """Decay of the momentum, and of the running average of the squared norm"""
    eps: float = 1e-8
    """Added to the norm"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        check_betas(self.betas)
        check_eps(self.eps)

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The NovoGrad of torch-optimizer, whose own default of the second beta is 0."""
        from torch_optimizer import NovoGrad as LibraryNovoGrad

        return LibraryNovoGrad(groups, betas=self.betas, eps=self.eps)
