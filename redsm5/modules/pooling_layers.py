"""The poolings as modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FirstToken(nn.Module):
    """The state at position 0."""

    def forward(self, states: Tensor, attention_mask: Tensor, context_mask: Tensor) -> Tensor:
        """Position 0 of each window.

        Args:
            states: [W, L, H].
            attention_mask: [W, L], not used.
            context_mask: bool [W, L], not used.

        Returns:
            [W, H].
        """
        return states[:, 0]


class ContextMean(nn.Module):
    """The mean over context tokens, accumulated in fp32."""

    def forward(self, states: Tensor, attention_mask: Tensor, context_mask: Tensor) -> Tensor:
        """Mean over the context; a window without context gives position 0.

        Args:
            states: [W, L, H].
            attention_mask: [W, L], not used: criterion texts and special tokens are attended to and yet not averaged.
            context_mask: bool [W, L].

        Returns:
            [W, H] in the dtype of the states.
        """
        count = context_mask.sum(dim=1, keepdim=True)
        # Filled rather than multiplied by zero, so that whatever stands at padding (NaN too) stays out.
        total = states.masked_fill(~context_mask.unsqueeze(-1), 0).sum(dim=1, dtype=torch.float32)
        mean = (total / count.clamp(min=1)).to(states.dtype)
        return torch.where(count > 0, mean, states[:, 0])
