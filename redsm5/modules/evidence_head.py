"""Options of the evidence head: from token states to spans. Torch-free."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redsm5.modules.evidence_module import EvidenceModule


class EvidenceHead(ABC):
    """How the token states of a window become scored spans per output."""

    @property
    def needs_sentences(self) -> bool:
        """Whether batches must say where sentences are."""
        return False

    @abstractmethod
    def build(self, hidden_size: int, n_outputs: int) -> EvidenceModule[Any]:
        """The head as a module.

        Args:
            hidden_size: H, the width of the encoder.
            n_outputs: K, number of criteria in ``multi_label``, 1 in ``binary_pairs``.
        """


@dataclass(frozen=True)
class HeadFields:
    """The fields that all heads share. No ``EvidenceHead`` itself, or jsonargparse would offer it as one."""

    dropout: float = 0.1
    """Dropout on the token states"""
    null_weight: float = 1.0
    """Weight in the loss of what has no evidence and should choose the null option; that of positives is 1"""
    hard_negative_weight: float = 0.1
    """Weight in the loss of the unlikelihood of sentences that an expert ruled out"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; it must be at least 0 and below 1")
        self.refuse_below(0, "null_weight", "hard_negative_weight")

    def refuse_below(self, least: int, *names: str) -> None:
        """Refuse fields that are no numbers of at least this."""
        for name in names:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise ValueError(f"{name} is {value}; it must be a finite number of at least {least}")


@dataclass(frozen=True)
class StartEndFields(HeadFields):
    """The fields that the start/end heads share."""

    inside: bool = True
    """Also learn, token by token, what lies inside evidence: a far denser signal than two positions per span"""
    inside_scale: float = 1.0
    """What the mean inside logit of a span's tokens counts in its score, beside start and end"""
    inside_weight: float = 30.0
    """Weight in the loss of being inside evidence, token by token"""
    inside_pos_weight: float = 3.0
    """Weight of a token inside evidence against one outside"""
    top_k: int = 20
    """Best starts and best ends per window that are paired"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.refuse_below(0, "inside_scale", "inside_weight", "inside_pos_weight")
        self.refuse_below(1, "top_k")


@dataclass(frozen=True)
class StartEnd(StartEndFields, EvidenceHead):
    """A start, an end and an inside logit per token, the first special token being the null option."""

    def build(self, hidden_size: int, n_outputs: int) -> EvidenceModule[Any]:
        """The start/end head."""
        from redsm5.modules.start_end import StartEndModule

        return StartEndModule(hidden_size, n_outputs, self)


@dataclass(frozen=True)
class StartEndMLP(StartEndFields, EvidenceHead):
    """The same logits from a hidden layer instead of straight from the token states."""

    hidden: int = 256
    """Width of the hidden layer"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.refuse_below(1, "hidden")

    def build(self, hidden_size: int, n_outputs: int) -> EvidenceModule[Any]:
        """The start/end head with a hidden layer."""
        from redsm5.modules.start_end import StartEndModule

        return StartEndModule(hidden_size, n_outputs, self, hidden=self.hidden)
