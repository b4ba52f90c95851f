"""Activations by name. Torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["gelu", "silu", "relu", "leaky_relu", "mish", "tanh"]
"""What a hidden layer may have."""

Gate = Literal["sigmoid", "gelu", "silu", "relu", "leaky_relu", "mish", "tanh"]
"""What a gate may have."""


def build_activation(name: Gate) -> nn.Module:
    """The module of an activation; the leaky ReLU has torch's slope, 0.01."""
    from torch import nn

    match name:
        case "sigmoid":
            return nn.Sigmoid()
        case "gelu":
            return nn.GELU()
        case "silu":
            return nn.SiLU()
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU()
        case "mish":
            return nn.Mish()
        case "tanh":
            return nn.Tanh()
