"""What the model returns: logits of the criteria, and the output of the evidence head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


class EvidenceOutput:
    """What an evidence head's ``forward`` returns: a dataclass of the head's own, which only the head reads."""


@dataclass
class ModelOutput:
    """What the network says of a batch.

    Attributes:
        criteria_logits: fp32 [E, K].
        evidence: Output of the evidence head.
    """

    criteria_logits: Tensor
    evidence: EvidenceOutput
