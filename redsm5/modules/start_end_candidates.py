"""From start and end logits to scored spans in characters."""

from __future__ import annotations

import torch
from torch import Tensor

from redsm5.datamodules.batch import Batch
from redsm5.modules.decoding import Candidates
from redsm5.modules.evidence_module import candidates_of, usable_tokens


def best_spans(
    start: Tensor,
    end: Tensor,
    batch: Batch,
    *,
    top_k: int,
    max_characters: int,
    inside: Tensor | None = None,
    inside_scale: float = 0.0,
    allowed: Tensor | None = None,
) -> Candidates:
    """The best ``top_k`` starts times the best ``top_k`` ends of every window and output.

    Kept are pairs whose end is not before the start and whose characters number at most ``max_characters``. Where no
    pair of a window and output passes, its best single token stands in (whatever its length), so that ranking metrics
    always have a span. The score is the margin over null, ``start[i] + end[j] - start[0] - end[0]`` (Devlin et al.
    2019, section 4.3), plus ``inside_scale`` times the mean inside logit of the tokens i to j.

    Args:
        start: fp32 [W, L, K], position 0 being null.
        end: fp32 [W, L, K], likewise.
        batch: The batch.
        top_k: Starts, and ends.
        max_characters: The longest span.
        inside: Inside logits fp32 [W, L, K], where the head has them.
        inside_scale: Their weight.
        allowed: bool [W, L, K], tokens that a span may hold; None for all of the context.
    """
    margin_start = (start - start[:, :1]).transpose(1, 2)
    margin_end = (end - end[:, :1]).transpose(1, 2)
    from_char, to_char = batch.offsets.long().unbind(dim=-1)
    usable = usable_tokens(batch, allowed)

    starts, first = _top(margin_start, usable, top_k)
    ends, last = _top(margin_end, usable, top_k)
    windows = torch.arange(len(from_char), device=from_char.device).view(-1, 1, 1)
    begin, stop = from_char[windows, first], to_char[windows, last]

    score = starts.unsqueeze(3) + ends.unsqueeze(2)
    if inside is not None:
        score = score + inside_scale * mean_between(inside.transpose(1, 2), first, last)
    fits = stop.unsqueeze(2) - begin.unsqueeze(3) <= max_characters
    passing = (last.unsqueeze(2) >= first.unsqueeze(3)) & fits & score.isfinite()
    if allowed is not None:
        passing &= mean_between(allowed.transpose(1, 2).float(), first, last) == 1.0
    window, k, i, j = passing.nonzero(as_tuple=True)
    parts = [(window, k, begin[window, k, i], stop[window, k, j], score[window, k, i, j])]

    window, k = (~passing.flatten(2).any(dim=2) & usable.any(dim=2)).nonzero(as_tuple=True)
    alone = margin_start + margin_end
    if inside is not None:
        alone = alone + inside_scale * inside.transpose(1, 2)
    single, token = alone.masked_fill(~usable, -torch.inf)[window, k].max(dim=1)
    parts.append((window, k, from_char[window, token], to_char[window, token], single))

    window, k, begin, stop, score = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return candidates_of(batch, window, k, begin, stop, score)


def mean_between(values: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Mean of ``values[w, k, i..j]`` for every pair of a first and a last position; meaningless where j < i.

    Args:
        values: [W, K, L].
        first: int64 [W, K, I], positions i.
        last: int64 [W, K, J], positions j, inclusive.

    Returns:
        [W, K, I, J].
    """
    sums = torch.nn.functional.pad(values.double().cumsum(dim=-1), (1, 0))
    total = sums.gather(-1, last + 1).unsqueeze(2) - sums.gather(-1, first).unsqueeze(3)
    count = (last.unsqueeze(2) - first.unsqueeze(3) + 1).clamp(min=1)
    return (total / count).to(values.dtype)


def _top(margins: Tensor, usable: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The largest values [W, K, k] over the last axis and their positions; what is not usable is -inf."""
    top = margins.masked_fill(~usable, -torch.inf).topk(min(top_k, margins.shape[-1]), dim=-1)
    return top.values, top.indices
