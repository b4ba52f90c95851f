"""Which tokens of a row are masked: whole words, or spans of them. Pure; single tokens are transformers' business.

A row is described by two arrays over its tokens: whether a token may be masked (special, unknown and padding tokens may
not), and whether it begins a word.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

LONGEST_SPAN = 10
"""Words of a span at most (Joshi et al. 2020, arXiv:1907.10529, section 3.1)."""
SPAN_P = 0.2
"""Parameter of the geometric distribution of span lengths (likewise)."""
TRIES = 20
"""Tries per word to place spans: with little left that is free, a row ends up with fewer."""


def words_of(maskable: BoolArray, starts: BoolArray) -> IntArray:
    """The words of a row.

    Args:
        maskable: [L], which tokens may be masked.
        starts: [L], which tokens begin a word; what follows a token that may not be masked begins one too.

    Returns:
        [W, 2], first token and end (exclusive) of each word, in order.
    """
    after_gap = maskable & ~np.concatenate([[False], maskable[:-1]])
    begins = np.flatnonzero(maskable & (starts | after_gap))
    if not len(begins):
        return np.zeros((0, 2), dtype=np.int64)
    # A word goes on to the next one's start or to the first token that may not be masked.
    stops = np.flatnonzero(~maskable)
    following = np.append(begins[1:], len(maskable))
    gaps = np.append(stops, len(maskable))[np.searchsorted(stops, begins)]
    return np.stack([begins, np.minimum(following, gaps)], axis=1)


def mask_words(maskable: BoolArray, starts: BoolArray, probability: float, rng: np.random.Generator) -> BoolArray:
    """Whole words, each with the same probability.

    Args:
        maskable: [L], as for ``words_of``.
        starts: [L], as for ``words_of``.
        probability: Of a word, and so of a token.
        rng: What is drawn from.

    Returns:
        [L], True for masked tokens.
    """
    words = words_of(maskable, starts)
    return covered_by(words[rng.random(len(words)) < probability], len(maskable))


def mask_spans(maskable: BoolArray, starts: BoolArray, probability: float, rng: np.random.Generator) -> IntArray:
    """Spans of whole words, until about the share of tokens is covered.

    Lengths in words are geometric, cut at ten and renormalised; a span begins at any word with the same chance, crosses
    no token that may not be masked, and touches no other span. The last one is cut to what is left, word by word; a
    word that is longer than that is taken with the chance that makes the share right on average.

    Args:
        maskable: [L], as for ``words_of``.
        starts: [L], as for ``words_of``.
        probability: Share of the maskable tokens.
        rng: What is drawn from.

    Returns:
        [S, 2], first token and end (exclusive) of each span, in the order of the row.
    """
    words = words_of(maskable, starts)
    sizes = words[:, 1] - words[:, 0]
    left = probability * int(sizes.sum())
    free = np.ones(len(words) + 2, dtype=np.bool_)  # a free word at each end: neighbours without a border case
    spans: list[tuple[int, int]] = []
    for _ in range(TRIES * len(words)):
        if left <= 0:
            break
        first = int(rng.integers(len(words)))
        longest = min(first + _span_length(rng), len(words))
        end = first + 1
        while end < longest and words[end, 0] == words[end - 1, 1]:
            end += 1
        if not free[first : end + 2].all():
            continue
        covered = np.cumsum(sizes[first:end])
        if covered[-1] >= left:
            last = int(np.searchsorted(covered, left))  # the word that reaches what is left, or goes beyond
            over = covered[last] - left
            end = first + last + (rng.random() >= over / sizes[first + last])
            left = 0
        else:
            left -= int(covered[-1])
        if end > first:
            free[first + 1 : end + 1] = False
            spans.append((int(words[first, 0]), int(words[end - 1, 1])))
    return np.array(sorted(spans), dtype=np.int64).reshape(-1, 2)


def _span_length(rng: np.random.Generator) -> int:
    lengths = np.arange(1, LONGEST_SPAN + 1)
    weights = SPAN_P * (1 - SPAN_P) ** (lengths - 1)
    return int(rng.choice(lengths, p=weights / weights.sum()))


def covered_by(ranges: IntArray, length: int) -> BoolArray:
    """The tokens of disjoint ranges, [L].

    Args:
        ranges: [R, 2], first token and end (exclusive).
        length: L, tokens of the row.
    """
    edges = np.zeros(length + 1, dtype=np.int64)
    edges[ranges[:, 0]] += 1
    np.add.at(edges, ranges[:, 1], -1)
    return np.cumsum(edges[:-1]) > 0
