"""The coupling as a module: soft spans to vectors, and vectors joined."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from redsm5.modules.coupling import Join, SpanPooling

TINY = 1e-30
"""Least probability whose logarithm is told from that of 0."""

MASKED = -1e9
"""Score of a token outside the context."""


class SpanCoupling(nn.Module):
    """A vector per window and output: the window's own, joined with that of the output's evidence.

    Tokens count by the probability p that they are evidence, which has a gradient, and never by gold spans. With
    ``s = max_t p_t``, the strength of the evidence, the vector of the evidence is

    - mean: ``s sum_t p_t h_t / sum_t p_t``;
    - attention: ``s sum_t a_t h_t`` with ``a = softmax_t(log p_t + u_k . h_t)``; u starts at 0, where it is the mean;
    - max: ``s max_t (h_t + log(p_t / s))``, feature by feature.

    Where p is 1 on a span and 0 elsewhere these are the mean, attention and maximum of the span. Where p goes to 0
    everywhere so does the vector, from whatever side, and nothing is divided by 0.

    Args:
        hidden_size: H.
        n_outputs: K.
        pooling: How token states become the vector of the evidence.
        join: How it is joined with the vector of the window.
    """

    def __init__(self, hidden_size: int, n_outputs: int, *, pooling: SpanPooling, join: Join) -> None:
        super().__init__()
        self.pooling = pooling
        self.join = join
        if pooling == "attention":
            self.query = nn.Parameter(torch.zeros(n_outputs, hidden_size))
        # Two scalars, the window's and the evidence's. They start as add and as mean.
        if join == "weighted_sum":
            self.weights = nn.Parameter(torch.ones(2))
        elif join == "weighted_mean":
            self.weights = nn.Parameter(torch.zeros(2))

    def forward(self, vectors: Tensor, states: Tensor, probabilities: Tensor, context_mask: Tensor) -> Tensor:
        """Vectors of windows and outputs, in fp32.

        Args:
            vectors: [W, H], of windows.
            states: Token states [W, L, H]; whatever stands outside the context stays out of the result.
            probabilities: fp32 [W, L, K], that a token is evidence; 0 outside the context.
            context_mask: bool [W, L].

        Returns:
            fp32 [W, K, H], or [W, K, 2H] with ``concat``.
        """
        with torch.autocast(states.device.type, enabled=False):
            read = states.masked_fill(~context_mask.unsqueeze(-1), 0).float()
            evidence = self._evidence(read, probabilities, context_mask)
            return self._join(vectors.float().unsqueeze(1).expand_as(evidence), evidence)

    def _evidence(self, states: Tensor, p: Tensor, context_mask: Tensor) -> Tensor:
        strength = p.amax(dim=1)  # [W, K]
        match self.pooling:
            case "mean":
                weights = p / p.sum(dim=1, keepdim=True).clamp(min=TINY)
            case "attention":
                scores = p.clamp(min=TINY).log() + states @ self.query.T
                # A finite number: a window without context has no other scores.
                weights = scores.masked_fill(~context_mask.unsqueeze(-1), MASKED).softmax(dim=1)
            case "max":
                penalty = p.clamp(min=TINY).log() - strength.clamp(min=TINY).log().unsqueeze(1)
                # Or a padding's 0 would outdo a context of features below log TINY.
                penalty = penalty.masked_fill(~context_mask.unsqueeze(-1), MASKED)
                # Criterion by criterion: [W, L, K, H] at once would be K times the states.
                peaks = [(states + column.unsqueeze(-1)).max(dim=1).values for column in penalty.unbind(-1)]
                bare = ~context_mask.any(dim=1)[:, None, None]
                return strength.unsqueeze(-1) * torch.stack(peaks, dim=1).masked_fill(bare, 0)
        return strength.unsqueeze(-1) * (weights.transpose(1, 2) @ states)

    def _join(self, window: Tensor, evidence: Tensor) -> Tensor:
        match self.join:
            case "concat":
                return torch.cat([window, evidence], dim=-1)
            case "add":
                return window + evidence
            case "mean":
                return (window + evidence) / 2
            case "weighted_sum":
                first, second = self.weights
            case "weighted_mean":
                first, second = self.weights.softmax(dim=0)
        joined: Tensor = first * window + second * evidence
        return joined
