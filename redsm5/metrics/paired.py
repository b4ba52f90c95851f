"""Truth and prediction of the same posts side by side, checked once for every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redsm5.errors import Diverged
from redsm5.metrics.records import GoldPost, PredictedPost

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Paired:
    """``N`` posts, gold and predicted in the same order, with ``K`` criteria.

    Attributes:
        gold: The truth.
        predicted: The predictions for the same posts.
        labels: Boolean, [N, K].
        probabilities: [N, K], uncalibrated.
    """

    gold: tuple[GoldPost, ...]
    predicted: tuple[PredictedPost, ...]
    labels: BoolArray
    probabilities: FloatArray


def pair_up(gold: Sequence[GoldPost], predicted: Sequence[PredictedPost], criteria: int | None = None) -> Paired:
    """Put predictions into the order of the gold posts.

    Args:
        gold: The posts to score, at least one.
        predicted: Exactly one prediction for each of them, in any order.
        criteria: Number of criteria that every post must have; that of the first gold post where not given.

    Raises:
        ValueError: A post is missing, foreign or there twice, or has another number of criteria.
        Diverged: A probability or score is not a number, as after a diverged training.
    """
    if not gold:
        raise ValueError("there are no posts to score")
    k = len(gold[0].labels) if criteria is None else criteria
    by_id = {p.post_id: p for p in predicted}
    ids = [g.post_id for g in gold]
    if len(by_id) != len(predicted) or len(set(ids)) != len(ids):
        raise ValueError("a post is there twice among the gold or the predicted posts")
    if by_id.keys() != set(ids):
        odd = sorted(by_id.keys() ^ set(ids))
        raise ValueError(f"gold and predicted posts differ in {len(odd)} of {len(ids)} posts, the first is {odd[0]!r}")
    ordered = tuple(by_id[i] for i in ids)
    for truth, guess in zip(gold, ordered, strict=True):
        _check_post(truth, guess, k)
    labels = np.array([g.labels for g in gold], dtype=np.bool_).reshape(len(gold), k)
    probabilities = np.array([p.probabilities for p in ordered], dtype=np.float64).reshape(len(gold), k)
    return Paired(tuple(gold), ordered, labels, probabilities)


def _check_post(truth: GoldPost, guess: PredictedPost, k: int) -> None:
    lengths = {
        "labels": len(truth.labels),
        "evidence": len(truth.evidence),
        "unaligned": len(truth.unaligned),
        "hard_negatives": len(truth.hard_negatives),
        "probabilities": len(guess.probabilities),
        "candidates": len(guess.candidates),
    }
    for field, length in lengths.items():
        if length != k:
            raise ValueError(f"{field} of post {truth.post_id!r} has {length} criteria, expected {k}")
    if not all(0.0 <= p <= 1.0 for p in guess.probabilities) or any(
        s.score != s.score for spans in guess.candidates for s in spans
    ):
        raise Diverged(
            f"the prediction for post {truth.post_id!r} is not a number between 0 and 1: "
            "the training has diverged; lower the learning rate or use another precision"
        )
