"""Options of the criteria head: from a vector to one logit per output. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from redsm5.modules.activations import Activation, Gate, build_activation

if TYPE_CHECKING:
    from redsm5.modules.criteria_head_layers import CriteriaModule


class CriteriaHead(ABC):
    """How a vector becomes one logit per output."""

    @abstractmethod
    def build(self, input_size: int, n_outputs: int) -> CriteriaModule:
        """The head as a module.

        Args:
            input_size: H, the width of the vectors.
            n_outputs: K, number of criteria in ``multi_label``, 1 in ``binary_pairs``.
        """


@dataclass(frozen=True)
class HeadDropout:
    """The fields that all heads share. No ``CriteriaHead`` itself, or jsonargparse would offer it as one."""

    dropout: float = 0.1
    """Dropout before each linear layer"""
    dropout_samples: Literal[1, 4, 8] = 1
    """In training, logits are the mean over so many dropout masks (Inoue 2019); 1 is plain dropout"""

    def __post_init__(self) -> None:
        """Refuse impossible rates."""
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        if self.dropout == 0 and self.dropout_samples > 1:
            raise ValueError(
                f"dropout_samples is {self.dropout_samples} and dropout is 0, so that there are no masks to average; "
                "set a dropout or take 1"
            )


@dataclass(frozen=True)
class LinearHead(HeadDropout, CriteriaHead):
    """Dropout and one linear layer."""

    def build(self, input_size: int, n_outputs: int) -> CriteriaModule:
        """The linear head."""
        from redsm5.modules.criteria_head_layers import CriteriaModule

        return CriteriaModule(None, input_size, n_outputs, self.dropout, self.dropout_samples)


@dataclass(frozen=True)
class MLPHead(HeadDropout, CriteriaHead):
    """One hidden layer."""

    hidden: int = 512
    """Width of the hidden layer"""
    activation: Activation = "gelu"
    """Activation of the hidden layer"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        _check_hidden(self.hidden)

    def build(self, input_size: int, n_outputs: int) -> CriteriaModule:
        """The head with a hidden layer."""
        from redsm5.modules.criteria_head_layers import CriteriaModule, MLPBody

        body = MLPBody(input_size, self.hidden, build_activation(self.activation), self.dropout)
        return CriteriaModule(body, self.hidden, n_outputs, self.dropout, self.dropout_samples)


@dataclass(frozen=True)
class ResidualMLPHead(HeadDropout, CriteriaHead):
    """Two residual blocks of a hidden layer each, normalised first."""

    hidden: int = 512
    """Width of the hidden layer of each block"""
    activation: Activation = "gelu"
    """Activation of the hidden layers"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        _check_hidden(self.hidden)

    def build(self, input_size: int, n_outputs: int) -> CriteriaModule:
        """The residual head."""
        from redsm5.modules.criteria_head_layers import CriteriaModule, ResidualBody

        body = ResidualBody(input_size, self.hidden, build_activation(self.activation), self.dropout)
        return CriteriaModule(body, input_size, n_outputs, self.dropout, self.dropout_samples)


@dataclass(frozen=True)
class GatedHead(HeadDropout, CriteriaHead):
    """A hidden layer without activation, multiplied by a gate (Dauphin et al. 2017; Shazeer 2020)."""

    hidden: int = 512
    """Width of the hidden layer and of its gate"""
    gate: Gate = "sigmoid"
    """Activation of the gate: sigmoid makes it GLU, gelu GEGLU, silu SwiGLU, relu ReGLU"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        _check_hidden(self.hidden)

    def build(self, input_size: int, n_outputs: int) -> CriteriaModule:
        """The gated head."""
        from redsm5.modules.criteria_head_layers import CriteriaModule, GatedBody

        body = GatedBody(input_size, self.hidden, build_activation(self.gate), self.dropout)
        return CriteriaModule(body, self.hidden, n_outputs, self.dropout, self.dropout_samples)


def _check_hidden(hidden: int) -> None:
    if hidden < 1:
        raise ValueError(f"hidden is {hidden}; it must be at least 1")
