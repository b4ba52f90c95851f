"""From windows, which take the memory, to the batch sizes that a config holds, and back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_EXAMPLES = 256
"""The largest training batch of interest, in examples."""
MOST_SHARE = 0.25
"""The same as a share of the training examples: with fewer than four optimizer steps, an epoch learns little."""
MOST_EVAL_EXAMPLES = 128
"""The largest evaluation batch of interest: its windows pass in chunks, so that more brings nothing."""
EVAL_CHUNKS = 4
"""Chunks of an evaluation batch, at most, that are tried: little is kept of each, and more take long to try."""
LONGEST_POST = 10_000
"""Tokens of the longest post where no corpus is given: the longest of ReDSM5 has 6,990 words."""


@dataclass(frozen=True)
class Shape:
    """How large the examples of a config are.

    Attributes:
        train: Windows of the largest training example.
        evaluation: Windows of each evaluation example, the largest first.
        max_length: Tokens of a window.
        by_tokens: Whether a batch is a budget of tokens instead of a number of examples.
        most: The largest training batch of interest, in examples.
    """

    train: int
    evaluation: tuple[int, ...]
    max_length: int
    by_tokens: bool
    most: int = MOST_EXAMPLES

    def most_eval_windows(self, tokens_per_forward: int) -> int:
        """Windows of the largest evaluation batch of interest; the largest example fits."""
        wanted = sum(self.evaluation[:MOST_EVAL_EXAMPLES])
        return max(self.evaluation[0], min(wanted, EVAL_CHUNKS * tokens_per_forward // self.max_length))


@dataclass(frozen=True)
class Batches:
    """Sizes as a config holds them: examples, or tokens of a budget.

    Attributes:
        train: Of a training batch.
        evaluation: Of an evaluation batch.
        accumulate: Training batches per optimizer step; None to leave what the config says.
        by_tokens: Whether they count tokens.
    """

    train: int
    evaluation: int
    accumulate: int | None
    by_tokens: bool

    def options(self) -> dict[str, int]:
        """The config keys that say so."""
        unit = "_tokens" if self.by_tokens else ""
        keys = {
            f"data.batching.init_args.train{unit}": self.train,
            f"data.batching.init_args.eval{unit}": self.evaluation,
        }
        return keys if self.accumulate is None else {**keys, "trainer.accumulate_grad_batches": self.accumulate}


def batches(shape: Shape, windows: int, eval_windows: int, *, effective: int | None = None) -> Batches | None:
    """The largest batches whose windows are no more than these, whatever posts come together.

    Args:
        shape: Of the examples.
        windows: That fit in training.
        eval_windows: That fit in evaluation.
        effective: Examples per optimizer step, for which batches are accumulated.

    Returns:
        None where not even one example fits.
    """
    if windows < shape.train or eval_windows < shape.evaluation[0]:
        return None
    if shape.by_tokens:
        windows = min(windows, shape.most * shape.train)
        return Batches(windows * shape.max_length, eval_windows * shape.max_length, None, by_tokens=True)
    train = min(windows // shape.train, shape.most)
    accumulate = None
    if effective is not None:
        train = max(size for size in range(1, min(train, effective) + 1) if effective % size == 0)
        accumulate = effective // train
    return Batches(train, examples_within(shape.evaluation, eval_windows), accumulate, by_tokens=False)


def examples_within(sizes: Sequence[int], windows: int) -> int:
    """How many of any examples have together no more than these windows: as many as of the largest ones.

    Args:
        sizes: Windows of each example, the largest first; where there are fewer, more would be as large as the last.
        windows: That fit; at least those of the first.
    """
    padded = np.concatenate([np.asarray(sizes), np.repeat(sizes[-1], MOST_EVAL_EXAMPLES)])[:MOST_EVAL_EXAMPLES]
    return int((np.cumsum(padded) <= windows).sum())
