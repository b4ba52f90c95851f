"""Options of the criteria head: from a vector to one logit per output. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redsm5.modules.criteria_head_layers import CriteriaModule


class CriteriaHead(ABC):
    """How a vector becomes one logit per output."""

    @abstractmethod
    def build(self, hidden_size: int, n_outputs: int) -> CriteriaModule:
        """The head as a module.

        Args:
            hidden_size: H, the width of the vectors.
            n_outputs: K, number of criteria in ``multi_label``, 1 in ``binary_pairs``.
        """


@dataclass(frozen=True)
class LinearHead(CriteriaHead):
    """Dropout and one linear layer."""

    dropout: float = 0.1
    """Dropout before the layer"""

    def __post_init__(self) -> None:
        """Refuse impossible rates."""
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and below 1")

    def build(self, hidden_size: int, n_outputs: int) -> CriteriaModule:
        """The linear head."""
        from redsm5.modules.criteria_head_layers import LinearCriteria

        return LinearCriteria(hidden_size, n_outputs, self.dropout)
