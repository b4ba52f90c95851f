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

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the parts of the loss, by their names."""
        return {"positives": 1.0, "nulls": self.null_weight, "hard_negatives": self.hard_negative_weight}

    def refuse_below(self, least: int, *names: str) -> None:
        """Refuse fields that are no numbers of at least this."""
        for name in names:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise ValueError(f"{name} is {value}; it must be a finite number of at least {least}")


INSIDE_FIELDS = ("inside_scale", "inside_weight", "inside_pos_weight")
"""What is read only where a start/end head has inside logits."""


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
        self.refuse_below(0, *INSIDE_FIELDS)
        self.refuse_below(1, "top_k")
        for name in INSIDE_FIELDS if not self.inside else ():
            value, default = getattr(self, name), getattr(StartEndFields, name)
            if value != default:
                raise ValueError(
                    f"{name} is {value}, but inside is false, so that nothing reads it; leave it at {default}"
                )

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the parts of the loss, by their names."""
        return {**super().weights, **({"inside": self.inside_weight} if self.inside else {})}


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


@dataclass(frozen=True)
class SpanFields(HeadFields):
    """The fields that heads share which score spans of bounded length."""

    max_tokens: int = 64
    """Longest span in tokens; longer evidence is left out of the loss of Biaffine"""
    top_k: int = 100
    """Best spans per window and criterion that go on to non-maximum suppression"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.refuse_below(1, "max_tokens", "top_k")


@dataclass(frozen=True)
class Biaffine(SpanFields, EvidenceHead):
    """A score for every span of at most ``max_tokens`` tokens, and one softmax over them and null."""

    hidden: int = 64
    """Width of the projections of starts and ends"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        self.refuse_below(1, "hidden")

    def build(self, hidden_size: int, n_outputs: int) -> EvidenceModule[Any]:
        """The biaffine head."""
        from redsm5.modules.biaffine import BiaffineModule

        return BiaffineModule(hidden_size, n_outputs, self)


@dataclass(frozen=True)
class CRF(SpanFields, EvidenceHead):
    """Tags O, B and I per token and criterion, with a linear-chain conditional random field over them."""

    def build(self, hidden_size: int, n_outputs: int) -> EvidenceModule[Any]:
        """The tagging head."""
        from redsm5.modules.crf import CRFModule

        return CRFModule(hidden_size, n_outputs, self)


@dataclass(frozen=True)
class SentenceRanker(HeadFields, EvidenceHead):
    """A score for every sentence of a post: what is found are its ``max_spans`` best sentences."""

    @property
    def needs_sentences(self) -> bool:
        """It scores them."""
        return True

    def build(self, hidden_size: int, n_outputs: int) -> EvidenceModule[Any]:
        """The ranking head."""
        from redsm5.modules.sentence_ranker import SentenceRankerModule

        return SentenceRankerModule(hidden_size, n_outputs, self)


@dataclass(frozen=True)
class SentenceFilter(HeadFields, EvidenceHead):
    """Another head, of whose spans only those in the best sentences of the post count."""

    head: EvidenceHead = StartEnd()
    """The head that finds spans"""
    top_k: int = 5
    """Sentences per post and criterion in which spans may lie"""
    weight: float = 1.0
    """Weight of the loss of the ranking beside that of the other head"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        super().__post_init__()
        if isinstance(self.head, (SentenceRanker, SentenceFilter)):
            name = type(self.head).__name__
            raise ValueError(f"head is {name}; it must be one that scores spans of tokens, not sentences")
        self.refuse_below(0, "weight")
        self.refuse_below(1, "top_k")

    @property
    def needs_sentences(self) -> bool:
        """It ranks them."""
        return True

    def build(self, hidden_size: int, n_outputs: int) -> EvidenceModule[Any]:
        """The other head behind a filter."""
        from redsm5.modules.sentence_filter import SentenceFilterModule

        return SentenceFilterModule(hidden_size, n_outputs, self)
