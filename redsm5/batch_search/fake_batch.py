"""A batch of full windows without a corpus: what heads and losses see at their largest."""

from __future__ import annotations

import torch

from redsm5.datamodules.batch import Batch

SENTENCE = 16
"""Tokens of a sentence."""
LEADING = 1
"""Tokens before the post."""


def full_batch(windows: int, length: int, n_outputs: int, *, pairs: bool = False) -> Batch:
    """Windows of posts that fill them, each a post of its own.

    Every third (window, output) pair has two spans of evidence, every other third a hard negative.

    Args:
        windows: W.
        length: L.
        n_outputs: K.
        pairs: Whether examples are (post, criterion) pairs.
    """
    rows = torch.arange(windows)
    context = torch.ones(windows, length, dtype=torch.bool)
    context[:, :LEADING] = context[:, -1] = False
    starts = torch.arange(LEADING, max(length - SENTENCE, LEADING + 1), SENTENCE)
    ends = (starts + SENTENCE - 1).clamp(max=length - 2)
    window, output = (grid.flatten() for grid in torch.meshgrid(rows, torch.arange(n_outputs), indexing="ij"))
    kind = (window + output) % 3
    spans = [_rows(window[kind == 0], output[kind == 0], starts[n % len(starts)], ends[n % len(ends)]) for n in (0, 1)]
    sentences = torch.stack(
        [
            rows.repeat_interleave(len(starts)),
            torch.arange(len(starts)).repeat(windows),
            starts.repeat(windows),
            ends.repeat(windows),
            torch.ones(windows * len(starts), dtype=torch.int64),
        ],
        dim=1,
    )
    labels = torch.zeros(windows, n_outputs)
    labels[window[kind == 0], output[kind == 0]] = 1.0
    return Batch(
        input_ids=torch.zeros(windows, length, dtype=torch.int64),
        attention_mask=torch.ones(windows, length, dtype=torch.int64),
        token_type_ids=torch.zeros(windows, length, dtype=torch.int64),
        context_mask=context,
        offsets=torch.zeros(windows, length, 2, dtype=torch.int32),
        window_example=rows,
        labels=labels,
        evidence_mask=torch.ones(windows, n_outputs, dtype=torch.bool),
        unknown=torch.zeros(windows, n_outputs, dtype=torch.bool),
        spans=torch.cat(spans),
        cut_spans=torch.zeros(0, 4, dtype=torch.int64),
        hard_negatives=_rows(window[kind == 1], output[kind == 1], starts[-1], ends[-1]),
        criterion=rows % 9 if pairs else torch.full((windows,), -1),
        post_index=rows,
        sentences=sentences,
    )


def _rows(window: torch.Tensor, output: torch.Tensor, first: torch.Tensor, last: torch.Tensor) -> torch.Tensor:
    return torch.stack([window, output, first.expand_as(window), last.expand_as(window)], dim=1)
