"""Warmup by the step, reductions by the metric of the epoch, as one scheduler."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from redsm5.optim.curves import warmup_factor


class WarmupPlateau(LambdaLR):
    """Linear warmup times the reductions of torch's ``ReduceLROnPlateau``.

    Two schedulers on one optimizer overwrite each other's rates, and Lightning tells its own plateau schedulers of a
    metric only after the checkpoint of the epoch is written, so that a run that goes on from it lacks that value. This
    one is told by a callback (``redsm5.callbacks.plateau``) before.

    Args:
        optimizer: Its groups' rates are those at factor 1.
        warmup: Steps of warmup; epochs that end within it do not count.
        mode: Whether the metric is minimised or maximised.
        factor: On the rate, at a reduction.
        patience: Epochs without improvement that are let pass.
        threshold: Relative improvement that counts.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        warmup: int,
        mode: Literal["min", "max"],
        factor: float,
        patience: int,
        threshold: float,
    ) -> None:
        # Torch's class reduces the rates of an optimizer: this one's only rate is the product of the reductions.
        self._reduced = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        self._plateau = ReduceLROnPlateau(
            self._reduced, mode=mode, factor=factor, patience=patience, threshold=threshold, eps=0.0
        )
        self.warmup = warmup
        super().__init__(optimizer, self._factor)

    def observe(self, metric: float) -> None:
        """Take the metric of an epoch; the rates change at once.

        Args:
            metric: The monitored metric.
        """
        if self.last_epoch < self.warmup:
            return
        self._plateau.step(metric)
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base * self._factor(self.last_epoch)
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The state, in plain values."""
        state = super().state_dict()
        del state["_reduced"], state["_plateau"]
        return {**state, "plateau": self._plateau.state_dict(), "reduction": self._reduced.param_groups[0]["lr"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a saved state."""
        state = dict(state_dict)
        self._plateau.load_state_dict(state.pop("plateau"))
        self._reduced.param_groups[0]["lr"] = state.pop("reduction")
        super().load_state_dict(state)

    def _factor(self, step: int) -> float:
        reduction: float = self._reduced.param_groups[0]["lr"]
        return warmup_factor(step, warmup=self.warmup) * reduction
