"""Iterative stratification of multi-label data over groups. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


def stratify(labels: IntArray, sizes: IntArray, fractions: Sequence[float], seed: int) -> IntArray:
    """Assign groups to parts so that every label, and the posts as a whole, are spread by the fractions.

    Sechidis, Tsoumakas, Vlahavas: On the stratification of multi-label data (ECML PKDD 2011), algorithm 1, with groups
    in place of single examples: the label with the fewest unassigned posts is dealt out first, each group to the part
    that still wants that label most. Two rules are added, since a group cannot be halved: while parts lack the label
    and no more groups with it are left than there are such parts, one of them gets the group; likewise for parts that
    are still empty. So the rarest label is in every part whenever as many groups have it as there are parts.

    Args:
        labels: [G, K], posts with each label per group.
        sizes: [G], posts per group.
        fractions: Share of each part; they sum to 1.
        seed: Of the order among equals.

    Returns:
        [G], index of the part of each group.

    Raises:
        ValueError: There are fewer groups than parts.
    """
    if len(sizes) < len(fractions):
        raise ValueError(f"{len(sizes)} groups cannot fill {len(fractions)} parts")
    dealer = _Dealer(labels, sizes, np.asarray(fractions, dtype=np.float64), np.random.default_rng(seed))
    while True:
        counts = labels[dealer.part < 0].sum(axis=0)
        groups = (labels[dealer.part < 0] > 0).sum(axis=0)
        present = np.flatnonzero(counts)
        if not present.size:
            break
        dealer.deal(int(present[np.lexsort((present, groups[present], counts[present]))[0]]))
    dealer.deal(None)
    return dealer.part


class _Dealer:
    """What is assigned so far and what each part still wants."""

    def __init__(
        self, labels: IntArray, sizes: IntArray, fractions: NDArray[np.float64], rng: np.random.Generator
    ) -> None:
        self.labels, self.sizes = labels, sizes
        self.part: IntArray = np.full(len(sizes), -1, dtype=np.int64)
        self.wanted_labels = fractions[:, None] * labels.sum(axis=0)[None, :]
        self.wanted_posts = fractions * sizes.sum()
        self.tie_groups = rng.permutation(len(sizes))
        self.rng = rng

    def deal(self, label: int | None) -> None:
        """Assign every unassigned group that has the label; all that are left for None."""
        weight = self.sizes if label is None else self.labels[:, label]
        has_it = weight > 0 if label is not None else np.ones(len(weight), dtype=bool)
        groups = np.flatnonzero((self.part < 0) & has_it)
        # Large groups first: what they upset, the small ones after them can level out.
        for group in groups[np.lexsort((self.tie_groups[groups], -weight[groups]))]:
            part = self._choose(label, has_it)
            self.part[group] = part
            self.wanted_labels[part] -= self.labels[group]
            self.wanted_posts[part] -= self.sizes[group]

    def _choose(self, label: int | None, has_it: NDArray[np.bool_]) -> int:
        parts = np.arange(len(self.wanted_posts))
        unassigned = self.part < 0
        empty = np.setdiff1d(parts, self.part[~unassigned])
        lacking = np.setdiff1d(parts, self.part[~unassigned & has_it])
        if empty.size and unassigned.sum() <= empty.size:
            parts = empty
        elif lacking.size and (unassigned & has_it).sum() <= lacking.size:
            parts = lacking
        wanted = self.wanted_posts if label is None else self.wanted_labels[:, label]
        order = np.lexsort((self.rng.random(len(parts)), -self.wanted_posts[parts], -wanted[parts]))
        return int(parts[order[0]])
