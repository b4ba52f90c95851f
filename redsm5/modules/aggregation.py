"""Options of the aggregation: from the windows of an example to one logit per output. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


class Aggregation(ABC):
    """How the windows of an example become one logit per output.

    With a single window every variant gives that window's own logits.
    """

    @abstractmethod
    def build(self, hidden_size: int, n_outputs: int) -> nn.Module:
        """The module: (vectors [W, H] or [W, K, H], head, window_example [W], n_examples) -> logits fp32 [E, K].

        Args:
            hidden_size: H, the width of the window vectors.
            n_outputs: K, outputs of the criteria head.
        """


@dataclass(frozen=True)
class Max(Aggregation):
    """The largest window logit: one window with the symptom is enough."""

    def build(self, hidden_size: int, n_outputs: int) -> nn.Module:
        """The module that takes the maximum."""
        from redsm5.modules.aggregation_layers import WindowMax

        return WindowMax()


@dataclass(frozen=True)
class Mean(Aggregation):
    """The mean window logit."""

    def build(self, hidden_size: int, n_outputs: int) -> nn.Module:
        """The module that averages."""
        from redsm5.modules.aggregation_layers import WindowMean

        return WindowMean()


@dataclass(frozen=True)
class LogSumExp(Aggregation):
    """A soft maximum of the window logits, normalised so that the number of windows does not shift it."""

    temperature: float = 1.0
    """Softness: towards 0 it becomes the maximum, towards infinity the mean"""

    def __post_init__(self) -> None:
        """Refuse impossible temperatures."""
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature is {self.temperature}; it must be a finite number above 0")

    def build(self, hidden_size: int, n_outputs: int) -> nn.Module:
        """The module that takes the log-mean-exp."""
        from redsm5.modules.aggregation_layers import WindowLogMeanExp

        return WindowLogMeanExp(self.temperature)


@dataclass(frozen=True)
class Attention(Aggregation):
    """Gated attention over the windows, one per output (Ilse et al. 2018)."""

    hidden: int = 64
    """Width of the attention's hidden layer"""

    def __post_init__(self) -> None:
        """Refuse impossible widths."""
        if self.hidden < 1:
            raise ValueError(f"hidden is {self.hidden}; it must be at least 1")

    def build(self, hidden_size: int, n_outputs: int) -> nn.Module:
        """The module that attends."""
        from redsm5.modules.aggregation_layers import WindowAttention

        return WindowAttention(hidden_size, n_outputs, self.hidden)
