"""The aggregations as modules: scatter operations only, in fp32.

All share one signature: window vectors, the criteria head, the example of each window (int64 [W]) and the number of
examples E; out come logits [E, K]. Every example has at least one window. Vectors are [W, H], one for all outputs, or
[W, K, H], one per output, of which output k reads the k-th: the same vector K times is the same as that vector once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from redsm5.modules.criteria_head_layers import CriteriaModule


class WindowMax(nn.Module):
    """The largest window logit; tied windows share the gradient."""

    def forward(self, vectors: Tensor, head: CriteriaModule, window_example: Tensor, n_examples: int) -> Tensor:
        """Logits fp32 [E, K]."""
        return segment_max(window_logits(head, vectors), window_example, n_examples)


class WindowMean(nn.Module):
    """The mean window logit."""

    def forward(self, vectors: Tensor, head: CriteriaModule, window_example: Tensor, n_examples: int) -> Tensor:
        """Logits fp32 [E, K]."""
        return segment_mean(window_logits(head, vectors), window_example, n_examples)


class WindowLogMeanExp(nn.Module):
    """``T log(mean_w exp(z_w / T))``: between the mean and the maximum.

    Args:
        temperature: T, above 0.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, vectors: Tensor, head: CriteriaModule, window_example: Tensor, n_examples: int) -> Tensor:
        """Logits fp32 [E, K]."""
        scaled = window_logits(head, vectors) / self.temperature
        # The maximum cancels out of the value and of the gradient; it only keeps exp from overflowing.
        peak = segment_max(scaled.detach(), window_example, n_examples)
        mean = segment_mean((scaled - peak[window_example]).exp(), window_example, n_examples)
        return self.temperature * (peak + mean.log())


class WindowAttention(nn.Module):
    """Gated attention-based multiple-instance pooling, one attention per output.

    ``a_wk = softmax_w(u_k . (tanh(V h_w) * sigmoid(G h_w)))`` and ``z_k = sum_w a_wk h_w``, equation 9 of Ilse, Tomczak
    and Welling, "Attention-based Deep Multiple Instance Learning", ICML 2018. Output k of the head reads ``z_k``. With
    vectors per output, ``h_w`` is the k-th.

    Args:
        hidden_size: H, the width of the window vectors.
        n_outputs: K.
        hidden: Width of ``V`` and ``G``.
    """

    def __init__(self, hidden_size: int, n_outputs: int, hidden: int) -> None:
        super().__init__()
        self.content = nn.Linear(hidden_size, hidden)
        self.gate = nn.Linear(hidden_size, hidden)
        # No bias: a constant cancels in the softmax over windows.
        self.score = nn.Linear(hidden, n_outputs, bias=False)

    def weights(self, vectors: Tensor, window_example: Tensor, n_examples: int) -> Tensor:
        """Attention fp32 [W, K]; over the windows of an example it sums to 1."""
        hidden = self.content(vectors).tanh() * self.gate(vectors).sigmoid()
        if vectors.ndim == 2:
            scores = self.score(hidden).float()
        else:
            scores = torch.einsum("wkd,kd->wk", hidden, self.score.weight).float()
        peak = segment_max(scores.detach(), window_example, n_examples)
        raised: Tensor = (scores - peak[window_example]).exp()
        return raised / segment_sum(raised, window_example, n_examples)[window_example]

    def forward(self, vectors: Tensor, head: CriteriaModule, window_example: Tensor, n_examples: int) -> Tensor:
        """Logits fp32 [E, K]."""
        read = vectors.float() if vectors.ndim == 3 else vectors.float().unsqueeze(1)
        weighted = self.weights(vectors, window_example, n_examples).unsqueeze(-1) * read
        return head.per_output(segment_sum(weighted, window_example, n_examples)).float()


def window_logits(head: CriteriaModule, vectors: Tensor) -> Tensor:
    """Logits fp32 [W, K] of window vectors [W, H] or [W, K, H]."""
    logits = head(vectors) if vectors.ndim == 2 else head.per_output(vectors)
    return logits.float()


def segment_sum(values: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """Sums of the rows of each segment: [W, ...] and int64 [W] -> [E, ...]."""
    return values.new_zeros(n_segments, *values.shape[1:]).index_add(0, segment, values)


def segment_mean(values: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """Means of the rows of each segment: [W, K] and int64 [W] -> [E, K]."""
    # Not bincount: on a GPU it waits for the largest value.
    count = segment_sum(values.new_ones(len(segment)), segment, n_segments)
    return segment_sum(values, segment, n_segments) / count.unsqueeze(-1)


def segment_max(values: Tensor, segment: Tensor, n_segments: int) -> Tensor:
    """Maxima of the rows of each segment: [W, K] and int64 [W] -> [E, K]."""
    index = segment.unsqueeze(-1).expand_as(values)
    start = values.new_zeros(n_segments, values.shape[1])
    return start.scatter_reduce(0, index, values, reduce="amax", include_self=False)
