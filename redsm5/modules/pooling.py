"""Options of the pooling: from the token states of a window to one vector. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


class Pooling(ABC):
    """How the token states of a window become one vector."""

    @abstractmethod
    def build(self, hidden_size: int) -> nn.Module:
        """The module: (states [W, L, H], attention_mask [W, L], context_mask [W, L]) -> [W, H].

        Args:
            hidden_size: H, the width of the encoder.
        """


@dataclass(frozen=True)
class CLS(Pooling):
    """The state of the first special token."""

    def build(self, hidden_size: int) -> nn.Module:
        """The module that takes position 0."""
        from redsm5.modules.pooling_layers import FirstToken

        return FirstToken()


@dataclass(frozen=True)
class Mean(Pooling):
    """The mean of the states of the post's own tokens."""

    def build(self, hidden_size: int) -> nn.Module:
        """The module that averages the context."""
        from redsm5.modules.pooling_layers import ContextMean

        return ContextMean()
