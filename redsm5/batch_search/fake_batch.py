"""A training batch of full windows, made of nothing: sizes are those of a real one, the text is not there."""

from __future__ import annotations

import torch
from torch import Tensor

from redsm5.datamodules.batch import Batch

SENTENCE = 16
"""Tokens of a sentence."""
EVIDENCE = 3
"""Outputs per window that have evidence in it, and as many that have a hard negative; posts have 1.1 on average."""


def fake_batch(windows: int, length: int, n_outputs: int) -> Batch:
    """Windows of ``length`` tokens, each a post of its own, full of sentences.

    The last window has a token of padding: without any, attention of a GPU is given no mask and takes less.

    Args:
        windows: W.
        length: L, at least 4.
        n_outputs: K; with 1 an example is a pair of post and criterion.
    """
    attention = torch.ones(windows, length, dtype=torch.int64)
    attention[-1, -1] = 0
    context = torch.zeros(windows, length, dtype=torch.bool)
    context[:, 1:-2] = True
    first = torch.arange(1, length - 2, SENTENCE)
    last = (first + SENTENCE - 1).clamp(max=length - 3)
    columns = torch.arange(length, dtype=torch.int32)
    offsets = torch.stack([4 * columns, 4 * columns + 4], dim=-1).expand(windows, -1, -1) * context.unsqueeze(-1)
    outputs = torch.arange(min(EVIDENCE, n_outputs))
    denied = outputs + len(outputs) if 2 * len(outputs) <= n_outputs else outputs
    spans = _rows(windows, outputs, first, last)
    labels = torch.zeros(windows, n_outputs)
    labels[:, outputs] = 1.0
    return Batch(
        input_ids=torch.full((windows, length), 3),
        attention_mask=attention,
        token_type_ids=torch.zeros(windows, length, dtype=torch.int64),
        context_mask=context,
        offsets=offsets,
        window_example=torch.arange(windows),
        labels=labels,
        evidence_mask=torch.ones(windows, n_outputs, dtype=torch.bool),
        unknown=torch.zeros(windows, n_outputs, dtype=torch.bool),
        spans=spans,
        cut_spans=spans[:windows],
        hard_negatives=_rows(windows, denied, first.flip(0), last.flip(0)),
        criterion=torch.zeros(windows, dtype=torch.int64) if n_outputs == 1 else torch.full((windows,), -1),
        post_index=torch.arange(windows),
        sentences=_sentences(windows, first, last),
    )


def _rows(windows: int, outputs: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Rows (window, output, first, last): one sentence for each output in each window."""
    window, output = torch.cartesian_prod(torch.arange(windows), outputs).view(-1, 2).unbind(dim=1)
    sentence = output % len(first)
    return torch.stack([window, output, first[sentence], last[sentence]], dim=1)


def _sentences(windows: int, first: Tensor, last: Tensor) -> Tensor:
    window, sentence = torch.cartesian_prod(torch.arange(windows), torch.arange(len(first))).unbind(dim=1)
    return torch.stack([window, sentence, first[sentence], last[sentence], torch.ones_like(window)], dim=1)
