"""Tables over spans of bounded length: entry [i, t] belongs to the span of the tokens i to i + t."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def band_product(starts: Tensor, ends: Tensor, width: int) -> Tensor:
    """``starts[i, k] . ends[i + t]`` for t below a width, in memory linear in the length.

    Blocks of ``width`` starts are multiplied with the ``2 width - 1`` ends that they reach, and the band is cut out of
    the product: half of it is thrown away, but there is no table over all pairs.

    Args:
        starts: [W, L, K, D].
        ends: [W, L, D].
        width: Longest span in tokens.

    Returns:
        [W, L, K, width]; entries whose end lies behind the last token are 0.
    """
    windows, length, outputs, depth = starts.shape
    reach = 2 * width - 1
    blocks = -(-length // width)
    padded = F.pad(starts, (0, 0, 0, 0, 0, blocks * width - length))
    left = padded.view(windows, blocks, width * outputs, depth)
    right = F.pad(ends, (0, 0, 0, (blocks - 1) * width + reach - length)).unfold(1, reach, width)
    product = (left @ right).view(windows, blocks, width, outputs, reach)
    # Row r holds its band from column r on; laid out anew in rows that are one longer, each begins with it.
    product = F.pad(product.transpose(2, 3).flatten(3), (0, width))
    band = product.view(windows, blocks, outputs, width, reach + 1)[..., :width]
    return band.transpose(2, 3).reshape(windows, blocks * width, outputs, width)[:, :length]


def in_band(usable: Tensor, width: int) -> Tensor:
    """Which spans begin and end at a usable token: bool [..., L, width].

    Args:
        usable: bool [..., L].
        width: Longest span in tokens.
    """
    return usable.unsqueeze(-1) & F.pad(usable, (0, width - 1)).unfold(-1, width, 1)


def end_sums(band: Tensor) -> Tensor:
    """The sum over all spans that end at each token.

    Args:
        band: [..., L, width], 0 where a span would end behind the last token.

    Returns:
        [..., L].
    """
    length, width = band.shape[-2:]
    token = torch.arange(length, device=band.device).unsqueeze(1) + torch.arange(width, device=band.device)
    sums = band.new_zeros(*band.shape[:-2], length + width - 1)
    return sums.index_add(-1, token.flatten(), band.flatten(-2))[..., :length]


def best_in_band(scores: Tensor, fits: Tensor, top_k: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The best spans of every window and output.

    Args:
        scores: [W, K, L, width].
        fits: bool, same shape or one that expands to it: the spans to choose from.
        top_k: How many, at most.

    Returns:
        Window, output, first token, last token (inclusive) and score of each, all [N].
    """
    width = scores.shape[-1]
    flat = scores.masked_fill(~fits, -torch.inf).flatten(2)
    top = flat.topk(min(top_k, flat.shape[-1]), dim=-1)
    window, output, rank = top.values.isfinite().nonzero(as_tuple=True)
    place = top.indices[window, output, rank]
    first = place // width
    return window, output, first, first + place % width, top.values[window, output, rank]
