"""Trials and what is made of them, side by side on validation posts that none of it was learned of. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from redsm5.ensemble.combination import Combine
from redsm5.ensemble.fitting import Weighting, fit_combination
from redsm5.ensemble.models import Compared, Kind
from redsm5.metrics import criteria as crit
from redsm5.metrics import evidence as ev
from redsm5.metrics.bootstrap import percentile_interval
from redsm5.metrics.evaluate import resampled_scores
from redsm5.metrics.evaluation import Interval
from redsm5.metrics.paired import FloatArray, pair_up
from redsm5.metrics.records import GoldPost, PredictedPost
from redsm5.metrics.thresholds import Thresholds, fit_thresholds
from redsm5.modules.decoding import SpanDecoding

Learned = tuple[Callable[[NDArray[np.int64]], list[PredictedPost]], Thresholds]
"""Predictions of posts by their places, and thresholds."""
METHODS: tuple[tuple[Combine, Weighting], ...] = (
    ("mean", "equal"),
    ("mean", "fitted"),
    ("mean", "greedy"),
    ("rank", "equal"),
    ("rank", "greedy"),
)
"""Combinations that are compared."""


def method_name(combine: Combine, weighting: Weighting) -> str:
    """A combination in words."""
    return f"{combine}, {weighting}"


@dataclass(frozen=True)
class Arm:
    """One of what is compared.

    Attributes:
        name: In words.
        kind: What it is.
        trials: What it is made of.
        weights: How much each counts, learned of all posts.
        learn: Learns what there is to learn of the posts at some places.
    """

    name: str
    kind: Kind
    trials: tuple[int, ...]
    weights: tuple[float, ...]
    learn: Callable[[NDArray[np.int64]], Learned]


def model_arm(
    name: str,
    kind: Kind,
    trials: Sequence[int],
    gold: Sequence[GoldPost],
    predicted: Sequence[PredictedPost],
) -> Arm:
    """A model as it is: thresholds alone are learned.

    Args:
        name: In words.
        kind: single or averaged.
        trials: What it is made of.
        gold: N posts.
        predicted: The same posts in the same order.
    """

    def learn(places: NDArray[np.int64]) -> Learned:
        thresholds = fit_thresholds([gold[i] for i in places], [predicted[i] for i in places])
        return lambda asked: [predicted[i] for i in asked], thresholds

    return Arm(name, kind, tuple(trials), (1 / len(trials),) * len(trials), learn)


def ensemble_arm(
    combine: Combine,
    weighting: Weighting,
    trials: Sequence[int],
    gold: Sequence[GoldPost],
    predicted: Sequence[Sequence[PredictedPost]],
    decoding: SpanDecoding,
) -> Arm:
    """A combination of models.

    Args:
        combine: What is averaged.
        weighting: How much each counts.
        trials: The models.
        gold: N posts.
        predicted: Of each model the same posts in the same order.
        decoding: How many spans, and how much they may overlap.
    """

    def learn(places: NDArray[np.int64]) -> Learned:
        combination, thresholds = fit_combination(
            [gold[i] for i in places],
            [[posts[i] for i in places] for posts in predicted],
            combine=combine,
            weighting=weighting,
            decoding=decoding,
        )
        return lambda asked: combination([[posts[i] for i in asked] for posts in predicted]), thresholds

    whole, _ = fit_combination(gold, predicted, combine=combine, weighting=weighting, decoding=decoding)
    return Arm(method_name(combine, weighting), "ensemble", tuple(trials), whole.weights, learn)


def compare(
    arms: Sequence[Arm], gold: Sequence[GoldPost], folds: NDArray[np.int64], resamples: FloatArray
) -> tuple[Compared, ...]:
    """Score all arms on the same posts; what is learned for a post is learned of the other folds.

    Args:
        arms: The first one is what the others are compared with.
        gold: N posts.
        folds: [N], the fold of each post.
        resamples: [B, N], how often each post counts.
    """
    judged = [_judged(arm, gold, folds) for arm in arms]
    points = [scores(np.ones((1, len(gold)))) for scores in judged]
    spread = [scores(resamples) for scores in judged]
    return tuple(
        Compared(
            name=arm.name,
            kind=arm.kind,
            trials=arm.trials,
            weights=arm.weights,
            scores={key: float(value[0]) for key, value in point.items() if not np.isnan(value[0])},
            intervals=_intervals(values),
            gains={
                key: float(value[0] - points[0][key][0])
                for key, value in point.items()
                if not np.isnan(value[0] - points[0][key][0])
            },
            gain_intervals=_intervals({key: value - spread[0][key] for key, value in values.items()}),
        )
        for arm, point, values in zip(arms, points, spread, strict=True)
    )


def _judged(
    arm: Arm, gold: Sequence[GoldPost], folds: NDArray[np.int64]
) -> Callable[[FloatArray], dict[str, FloatArray]]:
    """Metrics of an arm as a function of how often each post counts."""
    predicted: dict[int, PredictedPost] = {}
    thresholds = np.empty((len(gold), len(gold[0].labels)))
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds == fold)
        predict, learned = arm.learn(np.flatnonzero(folds != fold))
        predicted |= dict(zip(inside.tolist(), predict(inside), strict=True))
        thresholds[inside] = learned
    paired = pair_up(gold, [predicted[i] for i in range(len(gold))])
    decisions = {"": crit.decide(paired.probabilities), "tuned_": crit.decide(paired.probabilities, thresholds)}
    evidence = {"": ev.given_gold(paired), "end_to_end_": ev.end_to_end(paired, decisions["tuned_"])}
    return lambda weights: resampled_scores(paired, decisions, evidence, weights)


def _intervals(values: dict[str, FloatArray]) -> dict[str, Interval]:
    ends = {key: percentile_interval(resampled) for key, resampled in values.items()}
    return {key: Interval(low=found[0], high=found[1]) for key, found in ends.items() if found is not None}
