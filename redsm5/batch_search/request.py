"""From config options to what is searched."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jsonargparse import Namespace

from redsm5.batch_search.child import ProbeSpec
from redsm5.batch_search.settings import criteria_file, setting_of
from redsm5.batch_search.tune import Mode, Request
from redsm5.batch_search.units import Shape
from redsm5.errors import UserError
from redsm5.modules.network import TOKENS_PER_FORWARD

CARD_GB = 24.0
"""Memory of the card that is planned for on fake tensors, where none is named: an RTX 3090 or 4090."""


@dataclass(frozen=True)
class Budget:
    """How much memory may be used, and how it is found out what fits.

    Attributes:
        memory_gb: What there is at most, in 2^30 bytes; None for all of the device.
        margin: Share of it that stays free.
        mode: How the sizes to try are chosen.
    """

    memory_gb: float | None = None
    margin: float = 0.05
    mode: Mode = "predicted"


def request_of(args: tuple[str, ...], config: Namespace, shape: Shape, budget: Budget, *, accumulates: bool) -> Request:
    """What is searched for a config.

    Args:
        args: Config options, as on the command line.
        config: The same, parsed.
        shape: Of its examples.
        budget: Memory and mode.
        accumulates: Whether batches will be accumulated.

    Raises:
        UserError: The criteria file cannot be read, or memory of the device cannot be limited.
    """
    if budget.mode != "fake" and _trains_on_mps(config.trainer.accelerator):
        raise UserError(
            "training here uses Apple's GPU, of which nothing can be limited; use --predict, or trainer.accelerator cpu"
        )
    memory_gb = budget.memory_gb or (CARD_GB if budget.mode == "fake" else None)
    setting = setting_of(config, accumulates=accumulates)
    spec = ProbeSpec(
        args=args,
        criteria=criteria_file(config),
        max_length=setting.max_length,
        encoder=setting.encoder,
        precision=config.runtime.precision,
        on_cpu=config.trainer.accelerator == "cpu",
        accumulates=accumulates,
        memory_gb=memory_gb,
        margin=budget.margin,
        limited=True,
    )
    return Request(spec, setting, shape, TOKENS_PER_FORWARD, budget.mode)


def _trains_on_mps(accelerator: str) -> bool:
    return accelerator == "mps" or (
        accelerator in ("auto", "gpu") and torch.backends.mps.is_available() and not torch.cuda.is_available()
    )
