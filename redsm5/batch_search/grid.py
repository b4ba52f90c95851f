"""The settings of the catalog: which encoders, lengths, precisions, checkpointing and PEFT methods are calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from redsm5.batch_search.request import Budget, request_of
from redsm5.batch_search.tune import Request
from redsm5.batch_search.units import MOST_EVAL_EXAMPLES, MOST_EXAMPLES, Shape
from redsm5.catalog import CATALOG
from redsm5.cli import build_cli
from redsm5.errors import UserError
from redsm5.peft.methods import METHODS

Precision = Literal["none", "bf16", "fp16"]
LONG_POST = 32
"""Windows of a long post, which are to fit in an evaluation batch."""
MOST_WINDOWS = 8 * MOST_EXAMPLES
"""The largest training batch of interest: posts of eight windows."""
LENGTHS = (128, 256, 384, 512)
PRECISIONS: tuple[Precision, ...] = ("none", "bf16", "fp16")
METHOD_NAMES = tuple(method.__name__ for method in METHODS)
A_WINDOW = Shape(
    train=1, evaluation=(LONG_POST,) * MOST_EVAL_EXAMPLES, max_length=1, by_tokens=False, most=MOST_WINDOWS
)
"""Entries count windows: how many a post has is for each config to say."""


@dataclass(frozen=True)
class Grid:
    """Values that are combined.

    Attributes:
        encoders: Hub ids of the catalog.
        lengths: Tokens of a window.
        precisions: As ``runtime.precision``.
        checkpointing: Off, on, or both.
        peft: Class names of PEFT methods.
    """

    encoders: Sequence[str] = tuple(CATALOG)
    lengths: Sequence[int] = LENGTHS
    precisions: Sequence[Precision] = PRECISIONS
    checkpointing: Sequence[bool] = (False, True)
    peft: Sequence[str] = METHOD_NAMES


def requests(args: Sequence[str], grid: Grid, budget: Budget) -> Iterator[Request]:
    """One per possible combination, encoder by encoder; batches are accumulated, since a search draws that too.

    Args:
        args: Config options that all have in common.
        grid: What is combined.
        budget: Memory and mode.

    Raises:
        UserError: The options are not usable.
    """
    for encoder in grid.encoders:
        known = CATALOG[encoder]
        for method in grid.peft:
            for checkpointing in grid.checkpointing:
                if checkpointing and not known.architecture.checkpointing:
                    continue
                own = (*args, f"--model.encoder.id={encoder}", f"--model.peft={method}")
                own = (*own, f"--model.encoder.gradient_checkpointing={str(checkpointing).lower()}", "--data.stride=0")
                try:
                    config = build_cli(list(own), parse_only=True, elsewhere=budget.mode == "fake").config
                except UserError:
                    if method == "NoPEFT":
                        raise
                    continue  # a method that does not fit the family
                for length in grid.lengths:
                    for precision in grid.precisions:
                        no_gpu = budget.mode != "fake" and not torch.cuda.is_available()
                        if length > known.context or (precision == "fp16" and no_gpu):
                            continue
                        config.data.max_length, config.runtime.precision = length, precision
                        sized = (*own, f"--data.max_length={length}", f"--runtime.precision={precision}")
                        shape = replace(A_WINDOW, max_length=length)
                        yield request_of(sized, config, shape, budget, accumulates=True)
