"""The loss of start/end logits: equations in ``docs/losses.md``."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from redsm5.datamodules.batch import Batch
from redsm5.modules.evidence_losses import Part, averaged


def bounds_parts(start: Tensor, end: Tensor, batch: Batch) -> dict[str, Part]:
    """Soft-target cross-entropy with a null option, and unlikelihood of hard negatives.

    A term is the mean of its start and its end part, so that it keeps the scale of one softmax. Each kind of term is
    averaged within an example, then over the examples that have the kind.

    Args:
        start: fp32 [W, L, K], position 0 being null.
        end: fp32 [W, L, K], likewise.
        batch: The batch.
    """
    known = batch.evidence_mask
    has_evidence = with_spans(batch)
    start_losses = cross_entropy(start, batch.spans, 2, has_evidence)
    end_losses = cross_entropy(end, batch.spans, 3, has_evidence)
    pair_losses = (start_losses + end_losses) / 2

    rows = batch.hard_negatives
    row_losses = (unlikelihood(start, rows, 2) + unlikelihood(end, rows, 3)) / 2

    pair_example = batch.window_example.unsqueeze(-1).expand_as(known)
    return {
        "positives": averaged(pair_losses, known & has_evidence, pair_example, batch.size),
        "nulls": averaged(pair_losses, known & ~has_evidence, pair_example, batch.size),
        "hard_negatives": averaged(
            row_losses, known[rows[:, 0], rows[:, 1]], batch.window_example[rows[:, 0]], batch.size
        ),
    }


def with_spans(batch: Batch) -> Tensor:
    """Bool [W, K], which windows hold evidence of which output whole."""
    has_evidence = torch.zeros_like(batch.evidence_mask)
    has_evidence[batch.spans[:, 0], batch.spans[:, 1]] = True
    return has_evidence


def inside_part(logits: Tensor, batch: Batch, pos_weight: float) -> Part:
    """Binary cross-entropy of every context token and output: inside evidence, or not.

    Evidence that the window cuts counts with what is to be seen of it; only pairs with evidence that failed to align
    are left out.

    Args:
        logits: fp32 [W, L, K].
        batch: The batch.
        pos_weight: Weight of a token inside evidence.
    """
    target = covered(torch.cat([batch.spans, batch.cut_spans]), logits.shape).to(logits.dtype)
    weight = logits.new_full((), pos_weight)  # filled on the device: a copy from here would wait for it
    losses = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weight, reduction="none")
    known = batch.context_mask.unsqueeze(-1) & ~batch.unknown.unsqueeze(1)
    example = batch.window_example.view(-1, 1, 1).expand_as(known)
    return averaged(losses, known, example, batch.size)


def covered(rows: Tensor, shape: torch.Size) -> Tensor:
    """Which tokens lie in a span, bool of a shape [W, L, K].

    Args:
        rows: int64 [S, 4], rows (window, output, first, last).
        shape: [W, L, K].
    """
    window, output, first, last = rows.unbind(dim=1)
    # +1 where a span begins, -1 behind its end: the running sum is above 0 inside spans, however they overlap.
    edges = torch.zeros((shape[0], shape[1] + 1, shape[2]), device=rows.device)
    ones = torch.ones_like(first, dtype=edges.dtype)
    edges.index_put_((window, first, output), ones, accumulate=True)
    edges.index_put_((window, last + 1, output), -ones, accumulate=True)
    return edges.cumsum(dim=1)[:, :-1] > 0


def cross_entropy(logits: Tensor, spans: Tensor, column: int, has_evidence: Tensor) -> Tensor:
    """Cross-entropy of every (window, output) with the uniform distribution over its gold positions, null without any.

    Args:
        logits: fp32 [W, L, K].
        spans: int64 [S, 4], rows (window, output, first, last).
        column: 2 for starts, 3 for ends.
        has_evidence: bool [W, K], whether any row of ``spans`` names the pair.

    Returns:
        [W, K].
    """
    target = torch.zeros_like(logits)
    # Set, not added: a position where two spans start counts once.
    target[spans[:, 0], spans[:, column], spans[:, 1]] = 1.0
    target[:, 0] = (~has_evidence).to(target.dtype)
    target = target / target.sum(dim=1, keepdim=True)
    return -(target * logits.log_softmax(dim=1)).sum(dim=1)


def unlikelihood(logits: Tensor, rows: Tensor, column: int) -> Tensor:
    """``-log(1 - p)`` of one position per row, p from the softmax over the window.

    Computed as logsumexp over all positions less logsumexp over the others: exact and with a gradient where p is 1.

    Args:
        logits: fp32 [W, L, K].
        rows: int64 [N, 4], rows (window, output, first, last).
        column: 2 for starts, 3 for ends.

    Returns:
        [N].
    """
    scores = logits[rows[:, 0], :, rows[:, 1]]
    others = scores.scatter(1, rows[:, column].unsqueeze(-1), -torch.inf)
    return scores.logsumexp(dim=1) - others.logsumexp(dim=1)
