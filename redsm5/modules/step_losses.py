"""The losses of one pass of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from redsm5.modules.output import EvidenceLosses, ModelOutput


@dataclass
class StepLosses:
    """What the network says of a batch, and how wrong it is.

    Attributes:
        output: Output of the network.
        criteria: Scalar, mean over examples.
        evidence: Losses of the evidence head.
        total: Scalar; both tasks with their weights.
    """

    output: ModelOutput
    criteria: Tensor
    evidence: EvidenceLosses
    total: Tensor
