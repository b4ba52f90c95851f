"""The criteria heads as modules."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

INIT_STD = 0.02
"""Standard deviation of new weights: that of BERT (Devlin et al. 2019) and its kin, so that logits start near 0."""


class CriteriaModule(nn.Module, ABC):
    """What every criteria head can do: score one shared vector, or one vector per output."""

    @abstractmethod
    def forward(self, vectors: Tensor) -> Tensor:
        """Logits of every output for the same vector: [..., H] -> [..., K]."""

    @abstractmethod
    def per_output(self, vectors: Tensor) -> Tensor:
        """Logit k for vector k: [E, K, H] -> [E, K]."""


class LinearCriteria(CriteriaModule):
    """Dropout and one linear layer.

    Args:
        hidden_size: H.
        n_outputs: K.
        dropout: Rate of the dropout before the layer.
    """

    def __init__(self, hidden_size: int, n_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(hidden_size, n_outputs)
        nn.init.normal_(self.linear.weight, std=INIT_STD)
        nn.init.zeros_(self.linear.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """[..., H] -> [..., K]."""
        logits: Tensor = self.linear(self.dropout(vectors))
        return logits

    def per_output(self, vectors: Tensor) -> Tensor:
        """Row k of the weights on vector k: [E, K, H] -> [E, K]."""
        return torch.einsum("ekh,kh->ek", self.dropout(vectors), self.linear.weight) + self.linear.bias
