"""What the model returns: logits, and the named losses of the evidence head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class EvidenceOutput:
    """Start, end and inside logits per token; position 0 is the null option.

    Attributes:
        start: fp32 [W, L, K]. Positions that are neither context nor 0 hold a large negative number.
        end: fp32 [W, L, K], likewise.
        inside: fp32 [W, L, K], log-odds of a token to lie in evidence; None where the head has no such logits.
    """

    start: Tensor
    end: Tensor
    inside: Tensor | None = None


@dataclass
class EvidenceLosses:
    """The loss of the evidence head and its parts (see ``docs/losses.md``).

    Attributes:
        total: Scalar; the weighted sum of the parts, and what is minimised.
        positives: Scalar; mean over the examples that have a (window, output) pair with evidence.
        nulls: Scalar; mean over the examples that have a pair without evidence, unweighted.
        hard_negatives: Scalar; mean over the examples that have a hard negative, unweighted.
        inside: Scalar; mean over examples of the loss per token, unweighted; zero where the head has no inside logits.
        examples: [E]; each example's own weighted sum, zero for parts that it lacks.
        counts: [4]; how many examples have positives, nulls, hard negatives, tokens: what the means of batches weigh.
    """

    total: Tensor
    positives: Tensor
    nulls: Tensor
    hard_negatives: Tensor
    inside: Tensor
    examples: Tensor
    counts: Tensor


@dataclass
class ModelOutput:
    """What the network says of a batch.

    Attributes:
        criteria_logits: fp32 [E, K].
        evidence: Output of the evidence head.
    """

    criteria_logits: Tensor
    evidence: EvidenceOutput
