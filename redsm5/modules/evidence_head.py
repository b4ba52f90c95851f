"""Options of the evidence head: from token states to spans. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redsm5.modules.evidence_module import EvidenceModule


class EvidenceHead(ABC):
    """How the token states of a window become scored spans per output."""

    @abstractmethod
    def build(self, hidden_size: int, n_outputs: int) -> EvidenceModule:
        """The head as a module.

        Args:
            hidden_size: H, the width of the encoder.
            n_outputs: K, number of criteria in ``multi_label``, 1 in ``binary_pairs``.
        """


@dataclass(frozen=True)
class StartEnd(EvidenceHead):
    """A start, an end and an inside logit per token, the first special token being the null option."""

    dropout: float = 0.1
    """Dropout on the token states"""
    inside: bool = True
    """Also learn, token by token, what lies inside evidence: a far denser signal than two positions per span"""
    inside_scale: float = 1.0
    """What the mean inside logit of a span's tokens counts in its score, beside start and end"""

    def __post_init__(self) -> None:
        """Refuse impossible rates."""
        if not (math.isfinite(self.inside_scale) and self.inside_scale >= 0):
            raise ValueError(f"inside_scale is {self.inside_scale}; it must be a finite number of at least 0")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and below 1")

    def build(self, hidden_size: int, n_outputs: int) -> EvidenceModule:
        """The start/end head."""
        from redsm5.modules.start_end import StartEndModule

        scale = self.inside_scale if self.inside else None
        return StartEndModule(hidden_size, n_outputs, self.dropout, inside_scale=scale)
