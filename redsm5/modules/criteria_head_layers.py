"""The criteria heads as modules: a body, and a linear layer of K rows on what comes out of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

INIT_STD = 0.02
"""Standard deviation of new weights: that of BERT (Devlin et al. 2019) and its kin, so that logits start near 0."""


class CriteriaModule(nn.Module):
    """Scores one shared vector for every output, or one vector per output.

    Args:
        body: [..., H] -> [..., F] with its own dropout; None for the vector as it is.
        features: F.
        n_outputs: K.
        dropout: Rate of the dropout before the last layer.
        samples: Over how many dropout masks logits are averaged in training ("Multi-Sample Dropout for Accelerated
            Training and Better Generalization", Inoue 2019, who averages the losses of the samples instead).
    """

    def __init__(self, body: nn.Module | None, features: int, n_outputs: int, dropout: float, samples: int) -> None:
        super().__init__()
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.samples = samples
        self.linear = linear(features, n_outputs)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits of every output for the same vector: [..., H] -> [..., K]."""
        logits: Tensor = self.linear(self._features(vectors))
        return self._mean(logits)

    def per_output(self, vectors: Tensor) -> Tensor:
        """Logit k for vector k: [E, K, H] -> [E, K]."""
        features = self._features(vectors)
        return self._mean(torch.einsum("...kf,kf->...k", features, self.linear.weight) + self.linear.bias)

    @property
    def _sampled(self) -> bool:
        return self.training and self.samples > 1

    def _features(self, vectors: Tensor) -> Tensor:
        if self._sampled:  # as one more dimension, in which every mask differs
            vectors = vectors.expand(self.samples, *vectors.shape)
        return self.dropout(vectors if self.body is None else self.body(vectors))  # type: ignore[no-any-return]

    def _mean(self, logits: Tensor) -> Tensor:
        return logits.float().mean(dim=0) if self._sampled else logits


class MLPBody(nn.Sequential):
    """``f(W drop(v) + b)``; with the last layer and tanh, the head of RoBERTa (Liu et al. 2019) in transformers.

    Args:
        input_size: H.
        hidden: F.
        activation: f.
        dropout: Rate of the dropout.
    """

    def __init__(self, input_size: int, hidden: int, activation: nn.Module, dropout: float) -> None:
        super().__init__(nn.Dropout(dropout), linear(input_size, hidden), activation)


class GatedBody(nn.Module):
    """``(W drop(v) + b) * f(V drop(v) + c)``.

    Dauphin et al. 2017, "Language Modeling with Gated Convolutional Networks".

    Args:
        input_size: H.
        hidden: F.
        gate: f; other gates than the logistic function are those of Shazeer 2020, "GLU Variants Improve Transformer".
        dropout: Rate of the dropout.
    """

    def __init__(self, input_size: int, hidden: int, gate: nn.Module, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.content_and_gate = linear(input_size, 2 * hidden)
        self.gate = gate

    def forward(self, vectors: Tensor) -> Tensor:
        """[..., H] -> [..., F]."""
        content, gate = self.content_and_gate(self.dropout(vectors)).chunk(2, dim=-1)
        return content * self.gate(gate)  # type: ignore[no-any-return]


class ResidualBody(nn.Sequential):
    """Two blocks ``v + W' drop(f(W drop(LN(v)) + b)) + b'``, and a layer norm after them.

    The feed-forward block of a pre-norm transformer (Xiong et al. 2020, "On Layer Normalization in the Transformer
    Architecture"), on one vector.

    Args:
        input_size: H, also F.
        hidden: Width inside the blocks.
        activation: f.
        dropout: Rate of the dropouts.
    """

    def __init__(self, input_size: int, hidden: int, activation: nn.Module, dropout: float) -> None:
        blocks = [_Residual(input_size, hidden, activation, dropout) for _ in range(2)]
        super().__init__(*blocks, nn.LayerNorm(input_size))


class _Residual(nn.Module):
    def __init__(self, input_size: int, hidden: int, activation: nn.Module, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(input_size)
        self.inner = MLPBody(input_size, hidden, activation, dropout)
        self.dropout = nn.Dropout(dropout)
        self.outer = linear(hidden, input_size)

    def forward(self, vectors: Tensor) -> Tensor:
        return vectors + self.outer(self.dropout(self.inner(self.norm(vectors))))  # type: ignore[no-any-return]


def linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer as new ones start: normal weights, biases of 0."""
    layer = nn.Linear(inputs, outputs)
    nn.init.normal_(layer.weight, std=INIT_STD)
    nn.init.zeros_(layer.bias)
    return layer
