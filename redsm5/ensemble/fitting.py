"""What a combination learns of validation posts: weights, ranks, agreement, thresholds. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.special import logit

from redsm5.ensemble.combination import Combination, Combine, RankCurve, Scaling, probabilities_of, ranked
from redsm5.ensemble.probabilities import greedy_weights, mixture_weights, pool, rank_points
from redsm5.metrics import criteria as crit
from redsm5.metrics import evidence as ev
from redsm5.metrics.paired import BoolArray, FloatArray, pair_up
from redsm5.metrics.platt import fit_platt
from redsm5.metrics.records import GoldPost, PredictedPost
from redsm5.metrics.thresholds import Thresholds, fit_thresholds
from redsm5.modules.decoding import SpanDecoding

Weighting = Literal["equal", "fitted", "greedy"]
"""How much each model counts."""

AGREEMENTS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Shares of the votes that are tried as what a span needs."""
EVEN = 0.5
"""The share where nothing can be learned, and of equal ones the nearest to it."""


def fit_combination(
    gold: Sequence[GoldPost],
    predicted: Sequence[Sequence[PredictedPost]],
    *,
    combine: Combine,
    weighting: Weighting,
    decoding: SpanDecoding,
) -> tuple[Combination, Thresholds]:
    """Learn a combination of models and its thresholds.

    Weights are ``equal``, ``fitted`` (the likeliest mixture) or ``greedy`` (forward selection by macro average
    precision: what decides, whatever the thresholds). The agreement that a span needs is the one with the best
    character F1 end to end.

    Args:
        gold: N validation posts.
        predicted: Of each of M models all of these posts, in the same order.
        combine: What is averaged.
        weighting: How much each model counts; ranks are no likelihoods, and cannot be ``fitted``.
        decoding: How many spans, and how much they may overlap.

    Returns:
        The combination and its thresholds.
    """
    if combine == "rank" and weighting == "fitted":
        raise ValueError("ranks have no likelihood that weights could be fitted to")
    given = probabilities_of(predicted)
    labels = _labels(gold, predicted[0])
    curves: tuple[tuple[RankCurve, ...], ...] | None = None
    values = given
    if combine == "rank":
        curves = tuple(tuple(_curve(of_model[:, k]) for k in range(labels.shape[1])) for of_model in given)
        values = ranked(given, curves)
    weights = _weights(weighting, labels, values)
    scaling: tuple[Scaling, ...] | None = None
    if combine == "rank":
        pooled = pool(weights, values)
        scaling = tuple(_scaling(labels[:, k], pooled[:, k]) for k in range(labels.shape[1]))
    combination = Combination(
        combine=combine,
        weights=tuple(weights.tolist()),
        ranks=curves,
        scaling=scaling,
        agreement=EVEN,
        max_spans=decoding.max_spans,
        nms_iou=decoding.nms_iou,
    )
    combined = combination(predicted)
    thresholds = fit_thresholds(gold, combined)
    return combination.model_copy(update={"agreement": fit_agreement(gold, combined, thresholds)}), thresholds


def _labels(gold: Sequence[GoldPost], predicted: Sequence[PredictedPost]) -> BoolArray:
    """Labels [N, K] in the order of the predictions."""
    of = {post.post_id: post.labels for post in gold}
    return np.array([of[post.post_id] for post in predicted], dtype=np.bool_)


def _curve(probabilities: FloatArray) -> RankCurve:
    at, ranks = rank_points(probabilities)
    return RankCurve(probabilities=tuple(at), ranks=tuple(ranks))


def _scaling(labels: BoolArray, ranks: FloatArray) -> Scaling:
    """Of one criterion; where a class is missing, the middle rank becomes how often the criterion is expected."""
    if labels.all() or not labels.any():
        return Scaling(slope=1.0, offset=float(logit((labels.sum() + 1) / (len(labels) + 2))))
    fit = fit_platt(labels, ranks)
    return Scaling(slope=fit.slope, offset=fit.offset)


def _weights(weighting: Weighting, labels: BoolArray, values: FloatArray) -> FloatArray:
    if weighting == "fitted":
        return mixture_weights(labels, values)
    if weighting == "greedy":
        return greedy_weights(len(values), lambda weights: _average_precision(labels, pool(weights, values)))
    return np.full(len(values), 1 / len(values))


def _average_precision(labels: BoolArray, probabilities: FloatArray) -> float:
    return float(np.nan_to_num(crit.macro_average_precision(labels, probabilities)[0]))


def fit_agreement(gold: Sequence[GoldPost], predicted: Sequence[PredictedPost], thresholds: Thresholds) -> float:
    """The share of the votes above which spans are best predicted, by character F1 end to end.

    Args:
        gold: N validation posts.
        predicted: A prediction for each; scores of spans are logits of the votes for them. Of a single model, whose
            vote is the sigmoid of the margin over null, they are as it gives them.
        thresholds: Of the criteria.
    """
    paired = pair_up(gold, predicted)
    decisions = crit.decide(paired.probabilities, thresholds)

    def score(share: float) -> float:
        sums = ev.end_to_end(paired, decisions, float(logit(share)))
        return float(np.nan_to_num(ev.evidence_scores(sums.sum((0, 1)))["char_f1"]))

    found = {share: score(share) for share in AGREEMENTS}
    best = max(found.values())
    return min((share for share in AGREEMENTS if found[share] == best), key=lambda share: (abs(share - EVEN), share))
