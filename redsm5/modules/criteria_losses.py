"""The criteria losses as modules."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WeightedBCE(nn.Module):
    """Binary cross-entropy with a weight on positives, averaged over the outputs of an example.

    Args:
        pos_weights: Weight of a positive, per criterion.
    """

    pos_weights: Tensor

    def __init__(self, pos_weights: Sequence[float]) -> None:
        super().__init__()
        # Not persistent: the training labels and the option give it again.
        self.register_buffer("pos_weights", torch.tensor(pos_weights, dtype=torch.float32), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, criterion: Tensor) -> Tensor:
        """Loss per example.

        Args:
            logits: [E, K], K = number of criteria, or 1 for pairs.
            labels: fp32 [E, K], 0 or 1.
            criterion: int64 [E], the criterion of a pair; not read where K is the number of criteria.

        Returns:
            fp32 [E].
        """
        for_pairs = logits.shape[1] != len(self.pos_weights)
        weights = self.pos_weights[criterion].unsqueeze(-1) if for_pairs else self.pos_weights
        losses = F.binary_cross_entropy_with_logits(logits.float(), labels, pos_weight=weights, reduction="none")
        return losses.mean(dim=1)
