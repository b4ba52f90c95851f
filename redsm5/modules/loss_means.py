"""Means of the losses of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


class LossMeans:
    """Means over examples, summed up on the device.

    Lightning's ``log`` does it too, but its bookkeeping for seven names cost a step as much as the rest of its loop.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None
        self._examples = 0

    def add(self, losses: Mapping[str, Tensor], examples: int) -> None:
        """Take the losses of a batch, each a mean over its examples.

        Args:
            losses: Scalars, under the same names in the same order every time.
            examples: Number of examples in the batch.
        """
        self._names = tuple(losses)
        weighted = torch.stack([value.detach().float() for value in losses.values()]) * examples
        self._sums = weighted if self._sums is None else self._sums + weighted
        self._examples += examples

    def means(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """The means by name; none before the first batch.

        Args:
            reduce: Sums a tensor over the ranks.
        """
        if self._sums is None:
            return {}
        totals = reduce(torch.cat([self._sums, self._sums.new_tensor([self._examples])]))
        return dict(zip(self._names, totals[:-1] / totals[-1], strict=True))
