"""The losses of the two tasks as one: equations in ``docs/tuning/losses-and-regularisation.md``."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class TaskWeights(nn.Module, ABC):
    """From the losses of criteria and evidence to what is minimised."""

    @abstractmethod
    def forward(self, criteria: Tensor, evidence: Tensor) -> Tensor:
        """The loss to minimise.

        Args:
            criteria: Scalar.
            evidence: Scalar.
        """

    def learned(self) -> dict[str, Tensor]:
        """Scalars by the name they are logged under: what was learned."""
        return {}


class FixedSum(TaskWeights):
    """The weighted sum.

    Args:
        criteria: Weight of the criteria loss.
        evidence: Weight of the evidence loss.
    """

    def __init__(self, criteria: float, evidence: float) -> None:
        super().__init__()
        self.weights = (criteria, evidence)

    def forward(self, criteria: Tensor, evidence: Tensor) -> Tensor:
        """The sum."""
        return self.weights[0] * criteria + self.weights[1] * evidence


class UncertaintySum(TaskWeights):
    """``sum_t exp(-s_t) L_t + s_t / 2`` with learned ``s_t``, the log-variance of task t (Kendall et al. 2018, eq. 10).

    The second term keeps a weight from going to 0. Where a loss is small its weight grows, to 1 / (2 L) at rest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_variances = nn.Parameter(torch.zeros(2))

    def forward(self, criteria: Tensor, evidence: Tensor) -> Tensor:
        """The sum; it may fall below 0."""
        losses = torch.stack([criteria, evidence])
        return (torch.exp(-self.log_variances) * losses + self.log_variances / 2).sum()

    def learned(self) -> dict[str, Tensor]:
        """The present weights."""
        criteria, evidence = torch.exp(-self.log_variances.detach())
        return {"weight_criteria": criteria, "weight_evidence": evidence}
