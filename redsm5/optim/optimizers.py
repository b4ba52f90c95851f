"""Adam and its kin as options. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from redsm5.optim.optimizer import Optimizer, Rates, check_betas, check_eps

if TYPE_CHECKING:
    import torch

__all__ = ["AdaBelief", "Adam", "AdamW", "Optimizer", "RAdam"]


@dataclass(frozen=True)
class AdamW(Rates, Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running averages of the gradient and of its square"""
    eps: float = 1e-8
    """Added to the denominator"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        check_betas(self.betas)
        check_eps(self.eps)

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The fused AdamW of torch."""
        from redsm5.optim.fused import ClippableAdamW

        return ClippableAdamW(groups, betas=self.betas, eps=self.eps, fused=True)


@dataclass(frozen=True)
class Adam(Rates, Optimizer):
    """Adam with the decay added to the gradient (Kingma and Ba 2015)."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running averages of the gradient and of its square"""
    eps: float = 1e-8
    """Added to the denominator"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        check_betas(self.betas)
        check_eps(self.eps)

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The fused Adam of torch."""
        from redsm5.optim.fused import ClippableAdam

        return ClippableAdam(groups, betas=self.betas, eps=self.eps, fused=True)


@dataclass(frozen=True)
class RAdam(Rates, Optimizer):
    """Adam that waits until the variance of its denominator is bounded, with decoupled decay (Liu et al. 2020)."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running averages of the gradient and of its square"""
    eps: float = 1e-8
    """Added to the denominator"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        check_betas(self.betas)
        check_eps(self.eps)

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The RAdam of torch, which takes its multi-tensor kernels on a GPU; there is no fused one."""
        from torch.optim import RAdam as TorchRAdam

        return TorchRAdam(groups, betas=self.betas, eps=self.eps, decoupled_weight_decay=True)


@dataclass(frozen=True)
class AdaBelief(Rates, Optimizer):
    """Adam scaled by how far gradients stray from their average, with decoupled decay (Zhuang et al. 2020)."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running averages of the gradient and of its squared deviation"""
    eps: float = 1e-16
    """Added to the squared deviation and to the denominator"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        check_betas(self.betas)
        check_eps(self.eps)

    def build(self, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
        """The AdaBelief of torch-optimizer, without rectification, in which it differs from the paper's code."""
        from torch_optimizer import AdaBelief as LibraryAdaBelief

        return LibraryAdaBelief(groups, betas=self.betas, eps=self.eps, weight_decouple=True, rectify=False)
