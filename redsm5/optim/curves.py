"""Learning-rate factors as functions of the step. Pure numbers, for schedulers and for plots."""

from __future__ import annotations


def linear_factor(step: int, *, warmup: int, horizon: int, final: float) -> float:
    """Up from 0 to 1 over the warmup, then down to ``final`` at the horizon, and flat from there.

    With ``final`` 0 and the horizon at the last step it is transformers' ``get_linear_schedule_with_warmup``.

    Args:
        step: Optimizer steps taken, from 0.
        warmup: Steps of warmup; a warmup beyond the horizon is cut off there.
        horizon: Step at which ``final`` is reached.
        final: Factor from the horizon on.
    """
    if step >= horizon:
        return final
    if step < warmup:
        return step / warmup
    return 1 - (1 - final) * (step - warmup) / (horizon - warmup)
