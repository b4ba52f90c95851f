"""Learning-rate factors as functions of the step. Pure numbers, for schedulers and for plots."""

from __future__ import annotations

import math
from collections.abc import Callable


def warmup_factor(step: int, *, warmup: int) -> float:
    """Up from 0 to 1 over the warmup, then 1.

    Args:
        step: Optimizer steps taken, from 0.
        warmup: Steps of warmup.
    """
    return step / warmup if step < warmup else 1.0


def decay_factor(step: int, *, warmup: int, horizon: int, final: float, shape: Callable[[float], float]) -> float:
    """Up from 0 to 1 over the warmup, then from 1 to ``final`` at the horizon, and flat from there.

    Args:
        step: Optimizer steps taken, from 0.
        warmup: Steps of warmup; a warmup beyond the horizon is cut off there.
        horizon: Step at which ``final`` is reached.
        final: Factor from the horizon on.
        shape: From the share of the decay that is over, in [0, 1), to what is left of it: 1 at 0.
    """
    if step >= horizon:
        return final
    if step < warmup:
        return step / warmup
    return final + (1 - final) * shape((step - warmup) / (horizon - warmup))


def line(progress: float) -> float:
    """A straight line from 1 to 0."""
    return 1 - progress


def half_cosine(progress: float) -> float:
    """Half a cosine from 1 to 0 (Loshchilov and Hutter 2017)."""
    return (1 + math.cos(math.pi * progress)) / 2


def cosine_restarts(progress: float, *, cycles: int, growth: int) -> float:
    """Half cosines one after the other, each ``growth`` times as long as the one before."""
    left, length = progress, 1 / sum(growth**i for i in range(cycles))
    for _ in range(cycles - 1):
        # A restart that rounding puts just before its step would leave the rate at the bottom for a step.
        if left < length * (1 - 1e-9):
            break
        left, length = max(0.0, left - length), length * growth
    return half_cosine(left / length)


def power_of_line(progress: float, *, power: float) -> float:
    """A power of the straight line."""
    return float((1 - progress) ** power)


def exponential_factor(step: int, *, warmup: int, gamma: float, steps_per_epoch: int) -> float:
    """Up over the warmup, then by the factor ``gamma`` down in every epoch, evenly over its steps."""
    if step < warmup:
        return step / warmup
    return float(gamma ** ((step - warmup) / steps_per_epoch))


def one_cycle_factor(step: int, *, horizon: int, pct_start: float, div: float, final_div: float) -> float:
    """From 1 / div up to 1, then down to 1 / (div x final_div), in half cosines, as torch's ``OneCycleLR``.

    Args:
        step: Optimizer steps taken, from 0; torch refuses those beyond the horizon, here the last value stays.
        horizon: Steps of the cycle.
        pct_start: Share of them that rises.
        div: By what the rate is divided at the start.
        final_div: By what that is divided at the end.
    """
    start, end = 1 / div, 1 / (div * final_div)
    share = one_cycle_share(step, horizon=horizon, pct_start=pct_start)
    low = start if step <= pct_start * horizon - 1 else end
    return low + (1 - low) * share


def one_cycle_share(step: int, *, horizon: int, pct_start: float) -> float:
    """Where the cycle stands between its bottom, 0, and its top, 1."""
    peak, last = pct_start * horizon - 1, horizon - 1
    if step >= last:
        return 0.0
    # With a peak at step 0 there is no rise.
    return 1 - half_cosine(step / peak) if step <= peak and peak > 0 else half_cosine((step - peak) / (last - peak))


def relative_step(step: int, *, warmup_init: bool) -> float:
    """The rate that Adafactor finds itself, before it is scaled by the tensor (Shazeer and Stern 2018, section 8).

    Args:
        step: Optimizer steps taken, from 0.
        warmup_init: Rise from 1e-6 in proportion to the steps.
    """
    return min(1e-6 * (step + 1) if warmup_init else 1e-2, 1 / math.sqrt(step + 1))
