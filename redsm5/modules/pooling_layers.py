"""The poolings as modules."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class PoolingModule(nn.Module, ABC):
    """What every pooling can do."""

    @abstractmethod
    def forward(self, states: Tensor, context_mask: Tensor, first_tokens: Tensor) -> Tensor:
        """One vector per window.

        Args:
            states: [W, L, H]; whatever stands at padding (NaN too) stays out of the result.
            context_mask: bool [W, L]; criterion texts, special tokens and padding are not of the context.
            first_tokens: [W, N, H], states at position 0 after each of the last N layers, bottom-up; N is at least what
                the option's ``layers_read`` says, and the last one is ``states[:, 0]``.

        Returns:
            [W, H].
        """


class FirstToken(PoolingModule):
    """The state at position 0."""

    def forward(self, states: Tensor, context_mask: Tensor, first_tokens: Tensor) -> Tensor:
        """Position 0 of each window."""
        return first_tokens[:, -1]


class ContextMean(PoolingModule):
    """The mean over context tokens, accumulated in fp32."""

    def forward(self, states: Tensor, context_mask: Tensor, first_tokens: Tensor) -> Tensor:
        """Mean over the context, in the dtype of the states; a window without context gives position 0."""
        count = context_mask.sum(dim=1, keepdim=True)
        # Filled rather than multiplied by zero, so that whatever stands at padding (NaN too) stays out.
        total = states.masked_fill(~context_mask.unsqueeze(-1), 0).sum(dim=1, dtype=torch.float32)
        mean = (total / count.clamp(min=1)).to(states.dtype)
        return torch.where(count > 0, mean, states[:, 0])


class ContextAttention(PoolingModule):
    """Attention over context tokens by a learned query per head, in fp32.

    ``a_jt = softmax_t(u_j . h_t)``, and for the j-th share of the features the result is ``sum_t a_jt h_t``. This is
    multi-head attention (Vaswani et al. 2017, section 3.2) with a query that is a parameter (the seed of Lee et al.
    2019, section 3.2) and without projections: with a single query, that of the keys would be part of it. Queries start
    at 0, so that it starts as the mean.

    Args:
        hidden_size: H.
        heads: m, a divisor of H.
    """

    def __init__(self, hidden_size: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(heads, hidden_size))

    def forward(self, states: Tensor, context_mask: Tensor, first_tokens: Tensor) -> Tensor:
        """Weighted mean over the context, in the dtype of the states; without context position 0."""
        seen = context_mask.clone()
        seen[:, 0] |= ~context_mask.any(dim=1)
        seen = seen.unsqueeze(-1)
        with torch.autocast(states.device.type, enabled=False):
            read = states.masked_fill(~seen, 0).float()
            weights = (read @ self.query.T).masked_fill(~seen, -torch.inf).softmax(dim=1)
            shares = read.view(*read.shape[:2], len(self.query), -1)
            pooled = torch.einsum("wlm,wlmd->wmd", weights, shares)
        return pooled.flatten(1).to(states.dtype)


class FirstTokenMix(PoolingModule):
    """``gamma sum_j s_j h_j`` over the last layers' states of position 0, ``s = softmax(w)``.

    Equation 1 of Peters et al. 2018, "Deep contextualized word representations", in fp32. It starts as the mean.

    Args:
        layers: How many layers.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(1))

    def forward(self, states: Tensor, context_mask: Tensor, first_tokens: Tensor) -> Tensor:
        """The mix, in the dtype of the states."""
        shares = self.weights.softmax(dim=0).unsqueeze(-1)
        read = first_tokens[:, -len(self.weights) :].float()
        return (self.gamma * (shares * read).sum(dim=1)).to(states.dtype)
