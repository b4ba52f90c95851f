"""The loss of an evidence head as named parts, and how the terms of a part are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class Part(NamedTuple):
    """One kind of term: per example [E] (zero where it has none), mean over those that have some, their number."""

    examples: Tensor
    mean: Tensor
    having: Tensor


@dataclass
class EvidenceLosses:
    """The loss of an evidence head and its parts (see ``docs/losses.md``).

    Attributes:
        total: Scalar; the weighted sum of the means of the parts, and what is minimised.
        parts: The parts by name, unweighted.
        examples: [E]; each example's own weighted sum, zero for parts that it lacks.
    """

    total: Tensor
    parts: dict[str, Part]
    examples: Tensor


def weighted_sum(values: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of the values with their weights, in the order of the weights.

    Args:
        values: All of one shape.
        weights: By the same names.
    """
    first, *others = (weight * values[name] for name, weight in weights.items())
    return sum(others, first)


def averaged(losses: Tensor, chosen: Tensor, example: Tensor, n_examples: int) -> Part:
    """Average the chosen losses within each example, then over the examples that have any.

    Args:
        losses: Any shape.
        chosen: bool, same shape.
        example: int64, same shape: the example of each loss.
        n_examples: E.
    """
    zeros, index = losses.new_zeros(n_examples), example.flatten()
    total = zeros.index_add(0, index, losses.where(chosen, 0.0).flatten())
    count = zeros.index_add(0, index, chosen.flatten().to(losses.dtype))
    examples, having = total / count.clamp(min=1), (count > 0).sum()
    return Part(examples, examples.sum() / having.clamp(min=1), having.to(losses.dtype))
