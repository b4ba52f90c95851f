"""Trials and what is made of them, side by side on validation posts that none of it was learned of. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from redsm5.ensemble.combination import Combine
from redsm5.ensemble.fitting import Weighting, fit_agreement, fit_combination
from redsm5.ensemble.models import RANKING, Compared, Kind
from redsm5.metrics import criteria as crit
from redsm5.metrics import evidence as ev
from redsm5.metrics.bootstrap import percentile_interval
from redsm5.metrics.evaluate import evaluate, resampled_scores
from redsm5.metrics.evaluation import Evaluation, Interval, mean_of_known
from redsm5.metrics.paired import BoolArray, FloatArray, Paired, pair_up
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
AREAS: dict[str, Callable[[BoolArray, FloatArray], float]] = {
    "auroc": crit.auroc,
    "auprc": lambda labels, scores: float(crit.average_precision(labels, scores)[0]),
}
"""What compares posts with each other, by its name in an evaluation."""


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
    """A model as it is; thresholds and the margin that a span needs are learned as those of an ensemble are.

    Args:
        name: In words.
        kind: single or averaged.
        trials: What it is made of.
        gold: N posts.
        predicted: The same posts in the same order.
    """

    def learn(places: NDArray[np.int64]) -> Learned:
        seen = [gold[i] for i in places], [predicted[i] for i in places]
        thresholds = fit_thresholds(*seen)
        margin = float(logit(fit_agreement(*seen, thresholds)))
        return lambda asked: [_less(predicted[i], margin) for i in asked], thresholds

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


@dataclass(frozen=True)
class Judged:
    """An arm on all posts, each of them by what was learned of the other folds.

    Attributes:
        arm: What is judged.
        paired: N posts with K criteria.
        folds: [N], the fold of each post.
        tuned: [N, K], decisions at thresholds of the other folds.
    """

    arm: Arm
    paired: Paired
    folds: NDArray[np.int64]
    tuned: BoolArray

    def scores(self, weights: FloatArray) -> dict[str, FloatArray]:
        """The metrics of resampled posts, [B] each.

        Args:
            weights: [B, N], how often each post counts.
        """
        labels, probabilities = self.paired.labels, self.paired.probabilities
        found = resampled_scores(self.paired, self._decisions, self._evidence, weights)
        del found["auprc_macro"]  # of an order across folds
        return {**found, RANKING: crit.fold_average_precision(labels, probabilities, self.folds, weights)}

    def evaluation(self, codes: tuple[str, ...], thresholds: Thresholds, *, bootstrap: int, seed: int) -> Evaluation:
        """The same in full; AUROC and AUPRC too are means of the folds where they are defined.

        Args:
            codes: Of the criteria.
            thresholds: That stand in it: those from all posts.
            bootstrap: Resamples of authors.
            seed: Of these.
        """
        gold, predicted = self.paired.gold, self.paired.predicted
        whole = evaluate(gold, predicted, codes, thresholds, bootstrap=bootstrap, seed=seed, tuned=self.tuned)
        areas = {name: [self._mean_of_folds(area, k) for k in range(len(codes))] for name, area in AREAS.items()}
        return whole.model_copy(
            update={
                "criteria": tuple(
                    one.model_copy(update={name: values[k] for name, values in areas.items()})
                    for k, one in enumerate(whole.criteria)
                ),
                **{f"{name}_macro": mean_of_known(values) for name, values in areas.items()},
                "intervals": {key: ends for key, ends in whole.intervals.items() if key != "auprc_macro"},
            }
        )

    def _mean_of_folds(self, area: Callable[[BoolArray, FloatArray], float], k: int) -> float | None:
        labels, probabilities = self.paired.labels[:, k], self.paired.probabilities[:, k]
        found = [area(labels[i], probabilities[i]) for i in (self.folds == fold for fold in np.unique(self.folds))]
        return mean_of_known([None if np.isnan(value) else value for value in found])

    @cached_property
    def _decisions(self) -> dict[str, BoolArray]:
        return {"": crit.decide(self.paired.probabilities), "tuned_": self.tuned}

    @cached_property
    def _evidence(self) -> dict[str, FloatArray]:
        return {"": ev.given_gold(self.paired), "end_to_end_": ev.end_to_end(self.paired, self.tuned)}


def judge(arm: Arm, gold: Sequence[GoldPost], folds: NDArray[np.int64]) -> Judged:
    """Let an arm learn of all folds but one, and predict that one.

    Args:
        arm: What is judged.
        gold: N posts.
        folds: [N], the fold of each post.
    """
    predicted: dict[int, PredictedPost] = {}
    thresholds = np.empty((len(gold), len(gold[0].labels)))
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds == fold)
        predict, learned = arm.learn(np.flatnonzero(folds != fold))
        predicted |= dict(zip(inside.tolist(), predict(inside), strict=True))
        thresholds[inside] = learned
    paired = pair_up(gold, [predicted[i] for i in range(len(gold))])
    return Judged(arm, paired, folds, crit.decide(paired.probabilities, thresholds))


def compare(judged: Sequence[Judged], resamples: FloatArray) -> tuple[Compared, ...]:
    """Put arms side by side.

    Args:
        judged: On the same posts; the first one is what the others are compared with.
        resamples: [B, N], how often each post counts.
    """
    points = [one.scores(np.ones((1, resamples.shape[1]))) for one in judged]
    spread = [one.scores(resamples) for one in judged]
    return tuple(
        Compared(
            name=one.arm.name,
            kind=one.arm.kind,
            trials=one.arm.trials,
            weights=one.arm.weights,
            scores={key: float(value[0]) for key, value in point.items() if not np.isnan(value[0])},
            intervals=_intervals(values),
            gains={
                key: float(value[0] - points[0][key][0])
                for key, value in point.items()
                if not np.isnan(value[0] - points[0][key][0])
            },
            gain_intervals=_intervals({key: value - spread[0][key] for key, value in values.items()}),
        )
        for one, point, values in zip(judged, points, spread, strict=True)
    )


def _less(post: PredictedPost, margin: float) -> PredictedPost:
    """A post whose spans are predicted above a margin, where they were above null."""
    spans = tuple(tuple(replace(span, score=span.score - margin) for span in ranked) for ranked in post.candidates)
    return replace(post, candidates=spans)


def _intervals(values: dict[str, FloatArray]) -> dict[str, Interval]:
    ends = {key: percentile_interval(resampled) for key, resampled in values.items()}
    return {key: Interval(low=found[0], high=found[1]) for key, found in ends.items() if found is not None}
