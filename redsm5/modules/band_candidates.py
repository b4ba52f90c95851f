"""From scores of spans of bounded length to candidates in characters."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from redsm5.datamodules.batch import Batch
from redsm5.modules.band import best_in_band, in_band
from redsm5.modules.decoding import Candidates
from redsm5.modules.evidence_module import candidates_of, usable_tokens


def best_band_spans(
    scores: Tensor, batch: Batch, *, top_k: int, max_characters: int, allowed: Tensor | None
) -> Candidates:
    """The best ``top_k`` spans of every window and output that fit.

    Where none of at most ``max_characters`` characters is there, the best single token stands in, so that ranking
    metrics always have a span.

    Args:
        scores: [W, K, L, width], margins over null of the spans of the tokens i to i + t.
        batch: The batch.
        top_k: Spans per window and output.
        max_characters: The longest span.
        allowed: bool [W, L, K], tokens that a span may hold; None for all of the context.
    """
    width = scores.shape[-1]
    usable = usable_tokens(batch, allowed)
    from_char, to_char = batch.offsets.long().unbind(dim=-1)
    stop = F.pad(to_char, (0, width - 1)).unfold(1, width, 1)
    fits = in_band(usable, width) & (stop - from_char.unsqueeze(-1) <= max_characters).unsqueeze(1)
    if allowed is not None:
        blocked = F.pad((~allowed).transpose(1, 2).cumsum(dim=-1), (1, width - 1))
        fits &= blocked[..., 1:].unfold(-1, width, 1) == blocked[..., : fits.shape[2]].unsqueeze(-1)
    alone = torch.zeros_like(fits)
    alone[..., 0] = usable & ~fits.flatten(2).any(dim=-1, keepdim=True)
    window, output, first, last, score = best_in_band(scores, fits | alone, top_k)
    # Of the stand-ins only the best: they come in the order of their scores.
    pair, keep = window * scores.shape[1] + output, torch.ones_like(window, dtype=torch.bool)
    keep[1:] = pair[1:] != pair[:-1]
    keep |= fits.expand(scores.shape)[window, output, first, last - first]
    window, output, first, last, score = (column[keep] for column in (window, output, first, last, score))
    return candidates_of(batch, window, output, from_char[window, first], to_char[window, last], score)
