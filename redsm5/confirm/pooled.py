"""Out-of-fold predictions: every post once per seed, by a model that has not seen it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, logit

from redsm5.confirm.models import Calibration, Pooled
from redsm5.metrics import criteria as crit
from redsm5.metrics import evidence as ev
from redsm5.metrics.bootstrap import author_weights, percentile_interval
from redsm5.metrics.calibration import brier_score, expected_calibration_error
from redsm5.metrics.evaluate import evaluate, resampled_scores
from redsm5.metrics.evaluation import Evaluation, Interval, mean_of_known
from redsm5.metrics.paired import BoolArray, FloatArray, Paired, pair_up
from redsm5.metrics.platt import Platt, fit_platt
from redsm5.metrics.records import GoldPost, PredictedPost
from redsm5.metrics.thresholds import fit_threshold

RESAMPLES = 1000
"""Of the bootstrap."""
AREAS = ("auroc", "auprc")
"""What compares posts with each other, by their names in an evaluation."""


@dataclass(frozen=True)
class OutOfFold:
    """The predictions of one candidate with one seed.

    Attributes:
        paired: All posts of the folds, N of them.
        fold: [N], the fold that each post was tested in.
    """

    paired: Paired
    fold: np.ndarray[tuple[int], np.dtype[np.int64]]

    @cached_property
    def tuned(self) -> FloatArray:
        """Thresholds [N, K]: for each post those from the other folds."""
        found = np.full(self.paired.labels.shape, crit.DEFAULT_THRESHOLD)
        for inside in self._folds:
            found[inside] = thresholds_of(self.paired, ~inside)
        return found

    @cached_property
    def calibrated(self) -> FloatArray:
        """Probabilities [N, K]: of each post calibrated on the other folds."""
        found = self.paired.probabilities.copy()
        for inside in self._folds:
            for k in range(found.shape[1]):
                platt = fit_platt(self.paired.labels[~inside, k], self.paired.probabilities[~inside, k])
                found[inside, k] = platt(found[inside, k])
        return found

    def scores(self, weights: FloatArray) -> dict[str, FloatArray]:
        """The metrics of resampled posts; AUPRC as in ``evaluation``.

        Args:
            weights: [B, N].
        """
        found = resampled_scores(self.paired, self._decisions, self._evidence, weights)
        labels, probabilities = self.paired.labels, self.paired.probabilities
        folds = np.stack(
            [crit.macro_average_precision(labels[own], probabilities[own], weights[:, own]) for own in self._folds]
        )
        return found | {"auprc_macro": crit.mean_of_defined(folds)}

    def evaluation(self, codes: tuple[str, ...], posts: Set[str] | None = None) -> Evaluation:
        """In full, without intervals; thresholds differ from fold to fold, so that none are given.

        What ranks posts (AUROC, AUPRC) is the mean of the folds where it is defined: each fold has a model of its own,
        and scores of models that are calibrated differently in one ranking make it worse than any of them is (Forman
        and Scholz 2010).

        Args:
            codes: Of the criteria.
            posts: Ids of those that count; None for all.
        """
        kept = np.array([posts is None or post.post_id in posts for post in self.paired.gold])
        whole = self._evaluation(codes, kept)
        folds = [self._evaluation(codes, own) for inside in self._folds if (own := kept & inside).any()]
        criteria = tuple(
            one.model_copy(
                update={name: mean_of_known([getattr(fold.criteria[k], name) for fold in folds]) for name in AREAS}
            )
            for k, one in enumerate(whole.criteria)
        )
        macros = {f"{name}_macro": mean_of_known([getattr(fold, f"{name}_macro") for fold in folds]) for name in AREAS}
        return whole.model_copy(update={"criteria": criteria, **macros})

    def _evaluation(self, codes: tuple[str, ...], kept: BoolArray) -> Evaluation:
        gold, predicted = zip(
            *((self.paired.gold[n], self.paired.predicted[n]) for n in np.flatnonzero(kept)), strict=True
        )
        return evaluate(gold, predicted, codes, None, bootstrap=0)

    @property
    def _folds(self) -> list[BoolArray]:
        """[N] each: the posts that were tested in it."""
        return [self.fold == fold for fold in np.unique(self.fold)]

    @cached_property
    def _decisions(self) -> dict[str, BoolArray]:
        probabilities = self.paired.probabilities
        return {"": crit.decide(probabilities), "tuned_": crit.decide(probabilities, self.tuned)}

    @cached_property
    def _evidence(self) -> dict[str, FloatArray]:
        tuned = ev.end_to_end(self.paired, self._decisions["tuned_"])
        return {"": ev.given_gold(self.paired), "end_to_end_": tuned}


def out_of_fold(gold: Sequence[GoldPost], folds: Sequence[Sequence[PredictedPost]]) -> OutOfFold:
    """Put the predictions of all folds together.

    Args:
        gold: All posts of the folds.
        folds: The predictions of each fold.

    Raises:
        ValueError: They do not hold each post once.
    """
    of = {post.post_id: number for number, posts in enumerate(folds) for post in posts}
    paired = pair_up(gold, [post for posts in folds for post in posts])
    return OutOfFold(paired, np.array([of[post.post_id] for post in paired.gold], dtype=np.int64))


def thresholds_of(paired: Paired, chosen: BoolArray) -> FloatArray:
    """Thresholds [K] from some of the posts.

    Args:
        paired: N posts.
        chosen: [N].
    """
    labels, probabilities = paired.labels[chosen], paired.probabilities[chosen]
    return np.array([fit_threshold(labels[:, k], probabilities[:, k]) for k in range(labels.shape[1])])


def weights_of(gold: Sequence[GoldPost], seed: int) -> FloatArray:
    """The resamples [RESAMPLES, N] that all candidates share."""
    return author_weights([post.author for post in gold], RESAMPLES, seed)


def mean_scores(seeds: Sequence[OutOfFold], weights: FloatArray) -> dict[str, FloatArray]:
    """The metrics of resampled posts, [B] each, mean over the seeds: the same resamples for every seed.

    Args:
        seeds: Of one candidate.
        weights: [B, N].
    """
    found = [one.scores(weights) for one in seeds]
    return {key: np.mean([scores[key] for scores in found], axis=0) for key in found[0]}


def pooled_value(seeds: Sequence[OutOfFold], metric: str, posts: Set[str] | None = None) -> float | None:
    """Any metric of ``OutOfFold.evaluation``, mean over the seeds; None where one is undefined.

    Args:
        seeds: Of one candidate.
        metric: Key of ``Evaluation.scalars``, at threshold 0.5.
        posts: Ids of those that count; None for all.
    """
    codes = tuple(str(k) for k in range(seeds[0].paired.labels.shape[1]))
    found = [one.evaluation(codes, posts).scalars().get(metric) for one in seeds]
    return None if None in found else mean_of_known(found)


def pooled(seeds: Sequence[OutOfFold], resampled: Mapping[str, FloatArray], codes: tuple[str, ...]) -> Pooled:
    """What the predictions of a candidate come to.

    Args:
        seeds: Its predictions by seed.
        resampled: Of ``mean_scores`` with the resamples.
        codes: Of the criteria.
    """
    labels = seeds[0].paired.labels
    scores = mean_scores(seeds, np.ones((1, len(labels))))
    ends = {key: percentile_interval(values) for key, values in resampled.items()}
    criteria = range(labels.shape[1])

    def over(measure: Callable[[BoolArray, FloatArray], float], probabilities: Sequence[FloatArray]) -> float:
        return float(np.mean([[measure(labels[:, k], p[:, k]) for k in criteria] for p in probabilities]))

    raw, calibrated = [one.paired.probabilities for one in seeds], [one.calibrated for one in seeds]
    return Pooled(
        scores={key: float(value[0]) for key, value in scores.items() if not np.isnan(value[0])},
        intervals={key: Interval(low=found[0], high=found[1]) for key, found in ends.items() if found is not None},
        ece_macro=over(expected_calibration_error, raw),
        brier_macro=over(brier_score, raw),
        calibrated_ece_macro=over(expected_calibration_error, calibrated),
        calibrated_brier_macro=over(brier_score, calibrated),
        evaluation=seeds[0].evaluation(codes),
        thresholds=shipped(seeds, codes),
    )


def shipped(seeds: Sequence[OutOfFold], codes: tuple[str, ...]) -> list[Calibration]:
    """Threshold and calibration of each criterion from all folds, for a model that is trained once.

    Args:
        seeds: Predictions of one candidate by seed: a post counts once per seed, and what is learned of each seed is
            averaged, in logits.
        codes: Of the criteria.
    """
    everything = np.ones(len(seeds[0].fold), dtype=np.bool_)
    labels = seeds[0].paired.labels
    thresholds = expit(np.mean([logit(thresholds_of(one.paired, everything)) for one in seeds], axis=0))
    made = []
    for k, code in enumerate(codes):
        fits: list[Platt] = [fit_platt(labels[:, k], one.paired.probabilities[:, k]) for one in seeds]
        made.append(
            Calibration(
                code=code,
                support=int(labels[:, k].sum()),
                threshold=float(thresholds[k]),
                slope=float(np.mean([fit.slope for fit in fits])),
                offset=float(np.mean([fit.offset for fit in fits])),
            )
        )
    return made
