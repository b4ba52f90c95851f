"""How the predictions of several models become one, as data, and its application. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from redsm5.ensemble.probabilities import pool
from redsm5.ensemble.spans import agreed_spans
from redsm5.metrics.evaluation import Frozen
from redsm5.metrics.paired import FloatArray
from redsm5.metrics.platt import Platt
from redsm5.metrics.records import PredictedPost
from redsm5.modules.decoding import SpanDecoding

Combine = Literal["mean", "rank"]
"""What of the models is averaged: their probabilities, or the ranks of these."""


class RankCurve(Frozen):
    """Ranks of a model's probabilities for one criterion among those of the validation posts, as points of a line."""

    probabilities: tuple[float, ...] = Field(description="Rising, from 0 to 1.")
    ranks: tuple[float, ...] = Field(description="From 0 to 1.")


class Scaling(Frozen):
    """How an average of ranks becomes a probability: sigmoid(slope * logit(rank) + offset)."""

    slope: float = Field(ge=0, description="At least 0.")
    offset: float = Field(description="Any number.")


class Combination(Frozen):
    """What a combination has learned of validation posts. Models and criteria are in the order of the ensemble."""

    combine: Combine = Field(description="mean of probabilities, or rank: mean of ranks, scaled to probabilities.")
    weights: tuple[float, ...] = Field(description="Of each model; they sum to 1.")
    ranks: tuple[tuple[RankCurve, ...], ...] | None = Field(description="Per model and criterion; null for mean.")
    scaling: tuple[Scaling, ...] | None = Field(description="Per criterion; null for mean.")
    agreement: float = Field(gt=0, lt=1, description="Share of the votes above which a span is predicted.")
    max_spans: int = Field(ge=1, description="Spans per post and criterion.")
    nms_iou: float = Field(ge=0, le=1, description="A span that overlaps a better one by more than this is dropped.")

    @property
    def decoding(self) -> SpanDecoding:
        """Limits on the spans; those on length and score the members keep, each its own, before they vote."""
        return SpanDecoding(max_spans=self.max_spans, nms_iou=self.nms_iou)

    def of(self, models: Sequence[int]) -> Combination:
        """The same for some of the models: those that have a weight.

        Args:
            models: Their places; the others count nothing.
        """
        ranks = None if self.ranks is None else tuple(self.ranks[i] for i in models)
        return self.model_copy(update={"weights": tuple(self.weights[i] for i in models), "ranks": ranks})

    def __call__(self, predicted: Sequence[Sequence[PredictedPost]]) -> list[PredictedPost]:
        """Combine.

        Args:
            predicted: Of each model the same posts in the same order, with their candidates below null too.

        Returns:
            The posts in that order.
        """
        probabilities = self.probabilities(probabilities_of(predicted))
        return [
            PredictedPost(
                post_id=posts[0].post_id,
                probabilities=tuple(probabilities[n].tolist()),
                candidates=tuple(
                    agreed_spans([post.candidates[k] for post in posts], self.weights, self.agreement, self.decoding)
                    for k in range(probabilities.shape[1])
                ),
            )
            for n, posts in enumerate(zip(*predicted, strict=True))
        ]

    def probabilities(self, given: FloatArray) -> FloatArray:
        """The combined probabilities [N, K].

        Args:
            given: [M, N, K].
        """
        weights = np.asarray(self.weights)
        if self.ranks is None or self.scaling is None:
            return pool(weights, given)
        pooled = pool(weights, ranked(given, self.ranks))
        columns = [Platt(s.slope, s.offset)(pooled[:, k]) for k, s in enumerate(self.scaling)]
        return np.stack(columns, axis=1)


def probabilities_of(predicted: Sequence[Sequence[PredictedPost]]) -> FloatArray:
    """Probabilities [M, N, K] of M models for N posts."""
    return np.array([[post.probabilities for post in posts] for posts in predicted], dtype=np.float64)


def ranked(given: FloatArray, curves: Sequence[Sequence[RankCurve]]) -> FloatArray:
    """Ranks [M, N, K] of probabilities [M, N, K].

    Args:
        given: The probabilities.
        curves: Per model and criterion.
    """
    found = np.empty_like(given)
    for m, of_model in enumerate(curves):
        for k, curve in enumerate(of_model):
            found[m, :, k] = np.interp(given[m, :, k], curve.probabilities, curve.ranks)
    return found
