"""Adafactor with relative steps, whose groups say what their rate is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transformers.optimization import Adafactor

from redsm5.optim.curves import relative_step


class RelativeAdafactor(Adafactor):
    """The Adafactor of transformers that finds its own rate.

    The library leaves ``lr`` of the groups at None and does not read it; here it is the rate of the next step, as with
    any other optimizer, so that it can be logged.

    Args:
        groups: Parameter groups, their ``lr`` None.
        scale_parameter: Multiply the rate of a tensor by its root mean square.
        warmup_init: Start at 1e-6.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], *, scale_parameter: bool, warmup_init: bool) -> None:
        super().__init__(  # type: ignore[no-untyped-call]  # transformers types it not
            groups, scale_parameter=scale_parameter, relative_step=True, warmup_init=warmup_init
        )
        self._say_rate(0)

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """One step; the rate of the next is set in the groups."""
        loss = super().step(closure)  # type: ignore[no-untyped-call]
        self._say_rate(max((int(state["step"]) for state in self.state.values()), default=0))
        return loss

    def _say_rate(self, step: int) -> None:
        for group in self.param_groups:
            group["lr"] = relative_step(step, warmup_init=group["warmup_init"])
