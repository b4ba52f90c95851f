"""Means of the losses of an epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor


class LossMeans:
    """Means over the examples that have a loss, summed up on the device: they do not depend on the batch size.

    Lightning's ``log`` does it too, but its bookkeeping for seven names cost a step as much as the rest of its loop.
    """

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None

    def add(self, losses: Mapping[str, Tensor], counts: Tensor) -> None:
        """Take the losses of a batch, each a mean over some of its examples.

        Args:
            losses: Scalars, under the same names in the same order every time.
            counts: [number of losses], how many examples each is a mean over.
        """
        self._names = tuple(losses)
        weighted = torch.stack([value.detach().float() for value in losses.values()]) * counts
        sums = torch.stack([weighted, counts.to(weighted.dtype)])
        self._sums = sums if self._sums is None else self._sums.to(sums.device) + sums

    def means(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """The means by name, 0 for what no example has; none before the first batch.

        Args:
            reduce: Sums a tensor over the ranks.
        """
        if self._sums is None:
            return {}
        sums, counts = reduce(self._sums)
        return dict(zip(self._names, sums / counts.clamp(min=1), strict=True))

    def state_dict(self, reduce: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        """The sums so far.

        Args:
            reduce: Sums a tensor over the ranks, in a copy.
        """
        return {"names": list(self._names), "sums": None if self._sums is None else reduce(self._sums.clone())}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self._names, self._sums = tuple(state["names"]), state["sums"]
