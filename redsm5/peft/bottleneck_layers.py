"""The layers of bottleneck adapters: dense and hypercomplex blocks."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["relu", "gelu"]


class HypercomplexLinear(nn.Module):
    """``y = x W + b`` with ``W = sum_i A_i (x) (s_i t_i)``, (x) the Kronecker product, which is never written out.

    Mahabadi et al. 2021, section 3.2, https://arxiv.org/abs/2106.04647: ``A`` [n, n, n] is shared by all layers and
    handed in; ``s`` [n, in / n, rank] and ``t`` [n, rank, out / n] are the layer's own.

    Args:
        inputs: Width of the input, a multiple of ``n``.
        outputs: Width of the output, a multiple of ``n``.
        n: Kronecker products.
        rank: Rank of ``s_i t_i``.
        zero: Start with a zero ``t``, so that the output is zero.
    """

    def __init__(self, inputs: int, outputs: int, *, n: int, rank: int, zero: bool) -> None:
        super().__init__()
        self.n = n
        self.left = nn.Parameter(torch.empty(n, inputs // n, rank))
        self.right = nn.Parameter(torch.empty(n, rank, outputs // n))
        self.bias = nn.Parameter(torch.zeros(outputs))
        _glorot(self.left)
        if zero:
            nn.init.zeros_(self.right)
        else:
            _glorot(self.right)

    def forward(self, x: Tensor, rule: Tensor) -> Tensor:
        """Map x [..., inputs] to [..., outputs] with the shared rule [n, n, n]."""
        parts = x.reshape(*x.shape[:-1], self.n, -1)  # row p of A_i meets part p of x
        low = torch.einsum("...pk,ikr->...ipr", parts, self.left)
        mixed = torch.einsum("...ipr,ipq->...iqr", low, rule)
        return torch.einsum("...iqr,irl->...ql", mixed, self.right).flatten(-2) + self.bias


class Bottleneck(nn.Module):
    """``up(dropout(activation(down(x))))``, zero at the start.

    Args:
        hidden: Width of the states.
        bottleneck: Width inside.
        dropout: Dropout inside.
        activation: Between the two maps.
        hypercomplex: n of hypercomplex maps, 0 for dense ones.
        rank: Rank inside hypercomplex maps.
    """

    def __init__(
        self, hidden: int, *, bottleneck: int, dropout: float, activation: Activation, hypercomplex: int, rank: int
    ) -> None:
        super().__init__()
        self.down: nn.Module
        self.up: nn.Module
        if hypercomplex:
            self.down = HypercomplexLinear(hidden, bottleneck, n=hypercomplex, rank=rank, zero=False)
            self.up = HypercomplexLinear(bottleneck, hidden, n=hypercomplex, rank=rank, zero=True)
        else:
            down, up = nn.Linear(hidden, bottleneck), nn.Linear(bottleneck, hidden)
            nn.init.normal_(down.weight, std=0.02)
            for zero in (down.bias, up.weight, up.bias):
                nn.init.zeros_(zero)
            self.down, self.up = down, up
        self.activation = nn.ReLU() if activation == "relu" else nn.GELU()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, rule: Tensor | None) -> Tensor:
        """What is added to x [..., hidden].

        Args:
            x: States.
            rule: The shared rule of hypercomplex maps.
        """
        shared = () if rule is None else (rule,)
        inside = self.dropout(self.activation(self.down(x, *shared)))
        added: Tensor = self.up(inside, *shared)
        return added.to(x.dtype)


def shared_rule(n: int) -> nn.Parameter:
    """The rule A of hypercomplex maps, of a scale that leaves their matrices on that of their factors.

    The published code starts it at 1e-4, which makes the output nearly zero; here the zero in ``up`` does that exactly.
    """
    return nn.Parameter(torch.randn(n, n, n) / math.sqrt(n))


def _glorot(factor: nn.Parameter) -> None:
    bound = math.sqrt(6.0 / (factor.shape[1] + factor.shape[2]))
    nn.init.uniform_(factor, -bound, bound)
