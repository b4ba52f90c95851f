"""The losses of one pass of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from redsm5.modules.evidence_losses import EvidenceLosses
    from redsm5.modules.output import ModelOutput


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

    def parts(self, examples: int, **added: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The named losses, and how many examples each is a mean over, as ``LossMeans`` takes them.

        Args:
            examples: E.
            added: What else is minimised, each over all examples.
        """
        named = self.evidence.parts
        counts = torch.stack([part.having for part in named.values()])
        evidence = {f"loss_{name}": part.mean for name, part in named.items()}
        losses = {"loss_criteria": self.criteria, **added, **evidence}
        return losses, torch.cat([counts.new_full((1 + len(added),), examples), counts])
