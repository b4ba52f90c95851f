"""From refits and their predictions to ``confirm.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from redsm5 import __version__
from redsm5.confirm.models import Candidate, Confirmation, Difference, Refit
from redsm5.confirm.pooled import RESAMPLES, OutOfFold, mean_scores, pooled, pooled_value, weights_of
from redsm5.confirm.statistics import (
    bootstrap_p,
    corrected_interval,
    corrected_p,
    difference_interval,
    holm,
    posts_ratio,
)
from redsm5.confirm.tasks import Chosen
from redsm5.datamodules.split import Split
from redsm5.metrics.bootstrap import LEVEL
from redsm5.metrics.evaluation import Interval
from redsm5.metrics.paired import FloatArray
from redsm5.metrics.records import GoldPost

Resampled = Mapping[str, FloatArray]
"""Metrics of resampled posts, [B] each, by the keys of the metrics file."""


@dataclass(frozen=True)
class Setup:
    """What all candidates share.

    Attributes:
        study: Name of the study.
        corpus_sha256: Hash of the corpus.
        split_sha256: Hash of the split of the study.
        codes: Of its criteria.
        objective: Of the search.
        metric: The same on a fold.
        mode: Whether it is minimised or maximised.
        trials: That the search had ended.
        folds: How many.
        seeds: Of the trainings.
        seed: Of the bootstrap.
        splits: Of all seeds and folds.
        trained_on: Training posts of the study.
    """

    study: str
    corpus_sha256: str
    split_sha256: str
    codes: tuple[str, ...]
    objective: str
    metric: str
    mode: Literal["min", "max"]
    trials: int
    folds: int
    seeds: tuple[int, ...]
    seed: int
    splits: tuple[Split, ...]
    trained_on: frozenset[str]

    @property
    def sign(self) -> int:
        """What values are multiplied with so that more is better."""
        return 1 if self.mode == "max" else -1

    @property
    def ratio(self) -> float:
        """Posts tested to posts trained on."""
        return posts_ratio(self.splits)


def confirmation(
    setup: Setup,
    trials: Sequence[Chosen],
    refits: Sequence[Refit],
    gold: Sequence[GoldPost],
    predictions: Callable[[int], list[OutOfFold]],
) -> Confirmation:
    """All numbers.

    Args:
        setup: What all candidates share.
        trials: The candidates, the best of the search first.
        refits: Of all of them.
        gold: Training and validation posts of the study.
        predictions: Of a trial, by seed; is not asked of one with a failed refit.
    """
    weights = weights_of(gold, setup.seed)
    candidates: list[Candidate] = []
    resampled: dict[int, Resampled] = {}
    for rank, one in enumerate(trials, start=1):
        own = [refit for refit in refits if refit.trial == one.report.trial]
        candidate = _unconfirmed(one, rank, own)
        if not candidate.failed:
            found = predictions(candidate.trial)
            resampled[candidate.trial] = mean_scores(found, weights)
            candidate = _confirmed(candidate, own, found, resampled[candidate.trial], setup)
        candidates.append(candidate)
    candidates.sort(key=lambda one: (one.mean is None, -setup.sign * (one.mean or 0.0), one.rank))
    best = candidates[0] if candidates[0].mean is not None else None
    return Confirmation(
        created=datetime.now(UTC),
        redsm5=__version__,
        study=setup.study,
        corpus_sha256=setup.corpus_sha256,
        split_sha256=setup.split_sha256,
        objective=setup.objective,
        direction="maximize" if setup.mode == "max" else "minimize",
        trials=setup.trials,
        folds=setup.folds,
        seeds=list(setup.seeds),
        posts=len(gold),
        authors=len({post.author for post in gold}),
        training_posts=len(setup.trained_on),
        refit_training_posts=float(np.mean([len(split.train) for split in setup.splits])),
        test_to_training=setup.ratio,
        level=LEVEL,
        resamples=RESAMPLES,
        best=None if best is None else best.trial,
        candidates=candidates,
        differences=[] if best is None else differences(best, candidates, refits, resampled, setup),
        refits=list(refits),
        seconds=sum(refit.seconds for refit in refits),
    )


def _unconfirmed(one: Chosen, rank: int, refits: Sequence[Refit]) -> Candidate:
    return Candidate(
        trial=one.report.trial,
        rank=rank,
        encoder=one.encoder,
        config_sha256=one.sha256,
        search_value=one.report.value or 0.0,
        failed=[f"seed {refit.seed}, fold {refit.fold}: {refit.failed}" for refit in refits if refit.failed],
        refits=sum(not refit.failed and refit.value is not None for refit in refits),
        mean=None,
        deviation=None,
        interval=None,
        search_difference=None,
        pooled_value=None,
        unselected_value=None,
        pooled=None,
    )


def _confirmed(
    candidate: Candidate, refits: Sequence[Refit], seeds: Sequence[OutOfFold], resampled: Resampled, setup: Setup
) -> Candidate:
    values = [refit.value for refit in refits if refit.value is not None]
    mean = float(np.mean(values)) if values else None
    return candidate.model_copy(
        update={
            "mean": mean,
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "interval": _interval(corrected_interval(values, setup.ratio)),
            "search_difference": None if mean is None else setup.sign * (candidate.search_value - mean),
            "pooled_value": pooled_value(seeds, setup.metric),
            "unselected_value": pooled_value(seeds, setup.metric, setup.trained_on),
            "pooled": pooled(seeds, resampled, setup.codes),
        }
    )


def differences(
    best: Candidate,
    candidates: Sequence[Candidate],
    refits: Sequence[Refit],
    resampled: Mapping[int, Resampled],
    setup: Setup,
) -> list[Difference]:
    """The best one against each other one, on the same folds with the same seeds.

    Args:
        best: By its mean.
        candidates: All.
        refits: All.
        resampled: Of the candidates that are confirmed: on the same resamples of the same posts.
        setup: What they share.
    """
    values = {(refit.trial, refit.seed, refit.fold): refit.value for refit in refits}
    made = []
    for other in candidates:
        if other.trial == best.trial or other.mean is None:
            continue
        pairs = [
            (values[best.trial, refit.seed, refit.fold], refit.value) for refit in refits if refit.trial == other.trial
        ]
        apart = [first - second for first, second in pairs if first is not None and second is not None]
        if not apart:
            continue
        made.append(
            Difference(
                trial=best.trial,
                other=other.trial,
                refits=len(apart),
                difference=float(np.mean(apart)),
                interval=_interval(corrected_interval(apart, setup.ratio)),
                p_value=corrected_p(apart, setup.ratio),
                p_holm=None,
                **_bootstrapped(best, other, resampled, setup.metric),
            )
        )
    return _holm(made)


def _bootstrapped(best: Candidate, other: Candidate, resampled: Mapping[int, Resampled], metric: str) -> dict[str, Any]:
    """The fields of the paired bootstrap."""
    nothing = dict.fromkeys(("pooled_difference", "pooled_interval", "pooled_p_value", "pooled_p_holm"))
    ours, theirs = resampled[best.trial].get(metric), resampled[other.trial].get(metric)
    if ours is None or theirs is None or best.pooled_value is None or other.pooled_value is None:
        return nothing
    apart = ours - theirs
    apart = apart[~np.isnan(apart)]
    if not len(apart):
        return nothing
    return {
        "pooled_difference": best.pooled_value - other.pooled_value,
        "pooled_interval": _interval(difference_interval(apart)),
        "pooled_p_value": bootstrap_p(apart),
        "pooled_p_holm": None,
    }


def _holm(made: Sequence[Difference]) -> list[Difference]:
    found = list(made)
    for name, corrected in (("p_value", "p_holm"), ("pooled_p_value", "pooled_p_holm")):
        known = [(i, p) for i, one in enumerate(found) if (p := getattr(one, name)) is not None]
        for (i, _), p in zip(known, holm([p for _, p in known]), strict=True):
            found[i] = found[i].model_copy(update={corrected: p})
    return found


def _interval(ends: tuple[float, float] | None) -> Interval | None:
    return None if ends is None else Interval(low=ends[0], high=ends[1])
