"""Which checkpoints are kept. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from redsm5.checkpoints.folder import Entry, best_first

MOST_BEST = 2
"""Best checkpoints at most, those that share the best value included."""


def surplus(
    lasts: Sequence[Entry], bests: Sequence[Entry], *, keep_last: int, keep_best: int, max_bytes: float
) -> list[Entry]:
    """What may go.

    Kept are the newest ``keep_last`` and the best ``keep_best``; what equals the best in its metric is as good and
    stays beside it, two in all. What is more than ``max_bytes`` together goes too, the oldest and the least good first,
    but never the newest and the best.

    Args:
        lasts: Checkpoints to go on from, the oldest first.
        bests: Weights.
        keep_last: How many to go on from.
        keep_best: How many of the best.
        max_bytes: Limit on the size of all that is kept.
    """
    newest = list(reversed(lasts))[:keep_last]
    ranked = _one_per_epoch(best_first(bests))
    best = ranked[:keep_best]
    if best:
        tied = [entry for entry in ranked[keep_best:] if entry.manifest.value == best[0].manifest.value]
        best += tied[: MOST_BEST - len(best)]
    # What goes first when it is too much: older ones to go on from, then lesser ones.
    optional = [*reversed(newest[1:]), *reversed(best[1:])]
    total = sum(entry.manifest.bytes for entry in (*newest, *best))
    dropped = []
    while total > max_bytes and optional:
        dropped.append(optional.pop(0))
        total -= dropped[-1].manifest.bytes
    kept = {entry.path for entry in (*newest, *best)} - {entry.path for entry in dropped}
    return [entry for entry in (*lasts, *bests) if entry.path not in kept]


def _one_per_epoch(ranked: Sequence[Entry]) -> list[Entry]:
    """An epoch that was done again counts once, as it was written last."""
    first: dict[int, Entry] = {}
    for entry in ranked:
        first.setdefault(entry.manifest.epoch, entry)
    return list(first.values())
