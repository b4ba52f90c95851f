"""From gold and predicted posts to an ``Evaluation``: the one place where all metrics come together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from redsm5.metrics import bootstrap as resampling
from redsm5.metrics import criteria as crit
from redsm5.metrics import evidence as ev
from redsm5.metrics.calibration import brier_score, expected_calibration_error
from redsm5.metrics.evaluation import (
    Bootstrap,
    CriteriaSummary,
    CriterionScores,
    DecisionScores,
    Evaluation,
    EvidenceScores,
    Interval,
    Published,
    evidence_key,
)
from redsm5.metrics.paired import BoolArray, FloatArray, Paired, pair_up
from redsm5.metrics.published import published_baselines, with_no_symptoms
from redsm5.metrics.records import GoldPost, PredictedPost
from redsm5.metrics.thresholds import Thresholds

INTERVAL_EVIDENCE = ("token_f1", "char_f1", "iou_f1", "sentence_f1", "hit_at_1", "mrr")
"""Evidence metrics that get an interval."""


def evaluate(
    gold: Sequence[GoldPost],
    predicted: Sequence[PredictedPost],
    codes: tuple[str, ...],
    thresholds: Thresholds | None,
    *,
    bootstrap: int = 1000,
    seed: int = 0,
    span_threshold: float = ev.SPAN_THRESHOLD,
    tuned: BoolArray | None = None,
) -> Evaluation:
    """Score predictions.

    Args:
        gold: The posts of one part, at least one.
        predicted: Exactly one prediction per post, in any order.
        codes: Codes of the K criteria, in the order of the records.
        thresholds: K probabilities tuned on the validation part, or None for 0.5 alone.
        bootstrap: Resamples of authors for the intervals; 0 for none.
        seed: Seed of the resampling.
        span_threshold: A candidate is a predicted span where its score is above this.
        tuned: Decisions [N, K] in the order of ``gold`` in place of those at ``thresholds``: where these were tuned on
            the very posts that are scored, and each post was decided by others.

    Raises:
        ValueError: Records and codes or thresholds do not fit each other.
        UserError: A prediction is not a number.
    """
    paired = pair_up(gold, predicted, criteria=len(codes))
    _check_thresholds(thresholds, codes)
    half = crit.decide(paired.probabilities)
    if tuned is None and thresholds is not None:
        tuned = crit.decide(paired.probabilities, thresholds)
    given = ev.given_gold(paired, span_threshold)
    end_to_end = ev.end_to_end(paired, half if tuned is None else tuned, span_threshold)
    per_criterion = _per_criterion(paired, codes, thresholds, half, tuned, given.sum(0))
    aurocs = [c.auroc for c in per_criterion if c.auroc is not None]
    return Evaluation(
        posts=len(paired.gold),
        authors=len({g.author for g in paired.gold}),
        criteria=per_criterion,
        at_half=_summarise(paired.labels, half),
        tuned=None if tuned is None else _summarise(paired.labels, tuned),
        auroc_macro=float(np.mean(aurocs)) if aurocs else None,
        auprc_macro=_number(crit.macro_average_precision(paired.labels, paired.probabilities)[0]),
        ece_macro=float(np.mean([c.ece for c in per_criterion])),
        brier_macro=float(np.mean([c.brier for c in per_criterion])),
        gold_counts=crit.count_distribution(paired.labels),
        published=tuple(
            Published(name=p.name, f1_micro=p.f1_micro, f1_macro=p.f1_macro) for p in published_baselines(codes)
        ),
        evidence_given_gold=_evidence(given),
        evidence_end_to_end=_evidence(end_to_end),
        evidence_pairs=int(given[..., ev.Sum.GOLD].sum()),
        left_out_pairs=sum(not ev.scorable(g, k) for g in paired.gold for k in range(len(codes))),
        span_threshold=span_threshold,
        bootstrap=Bootstrap(resamples=bootstrap, level=resampling.LEVEL, seed=seed),
        intervals=_intervals(paired, half, tuned, given, end_to_end, bootstrap, seed),
    )


def _check_thresholds(thresholds: Thresholds | None, codes: tuple[str, ...]) -> None:
    if thresholds is None:
        return
    if len(thresholds) != len(codes):
        raise ValueError(f"thresholds has {len(thresholds)} values, expected one for each of the {len(codes)} criteria")
    if not all(0.0 <= t <= 1.0 for t in thresholds):
        raise ValueError(f"thresholds must be probabilities between 0 and 1, got {thresholds}")


def _number(value: ArrayLike) -> float | None:
    number = float(np.asarray(value))
    return None if np.isnan(number) else number


def _decision_scores(totals: FloatArray) -> DecisionScores:
    if not totals[2]:
        return DecisionScores(precision=None, recall=None, f1=None)
    precision, recall, f1 = crit.precision_recall_f1(totals)
    return DecisionScores(precision=float(precision), recall=float(recall), f1=float(f1))


def _per_criterion(
    paired: Paired,
    codes: tuple[str, ...],
    thresholds: Thresholds | None,
    half: BoolArray,
    tuned: BoolArray | None,
    evidence_totals: FloatArray,
) -> tuple[CriterionScores, ...]:
    half_totals = crit.counts(paired.labels, half).sum(0)
    tuned_totals = None if tuned is None else crit.counts(paired.labels, tuned).sum(0)
    evidence = ev.evidence_scores(evidence_totals)
    rows = []
    for k, code in enumerate(codes):
        labels, probabilities = paired.labels[:, k], paired.probabilities[:, k]
        rows.append(
            CriterionScores(
                code=code,
                support=int(labels.sum()),
                prevalence=float(labels.mean()),
                at_half=_decision_scores(half_totals[k]),
                threshold=None if thresholds is None else thresholds[k],
                tuned=None if tuned_totals is None else _decision_scores(tuned_totals[k]),
                auroc=_number(crit.auroc(labels, probabilities)),
                auprc=_number(crit.average_precision(labels, probabilities)[0]),
                ece=expected_calibration_error(labels, probabilities),
                brier=brier_score(labels, probabilities),
                evidence_pairs=int(evidence_totals[k, ev.Sum.GOLD]),
                hit_at_1=_number(evidence["hit_at_1"][k]),
                evidence_token_f1=_number(evidence["token_f1"][k]),
            )
        )
    return tuple(rows)


def _summarise(labels: BoolArray, decisions: BoolArray) -> CriteriaSummary:
    totals = crit.counts(labels, decisions).sum(0)
    ten = crit.counts(with_no_symptoms(labels), with_no_symptoms(decisions)).sum(0)
    precision, recall, _ = crit.precision_recall_f1(totals.sum(0))
    return CriteriaSummary(
        f1_macro=float(crit.macro_f1(totals)),
        f1_micro=float(crit.micro_f1(totals)),
        f1_weighted=float(crit.weighted_f1(totals)),
        precision_micro=_number(precision),
        recall_micro=_number(recall),
        exact_match=crit.exact_match(labels, decisions),
        count_mae=crit.count_error(labels, decisions),
        predicted_counts=crit.count_distribution(decisions),
        no_symptoms_f1_micro=float(crit.micro_f1(ten)),
        no_symptoms_f1_macro=float(crit.macro_f1(ten)),
    )


def _evidence(sums: FloatArray) -> EvidenceScores:
    scores = ev.evidence_scores(sums.sum((0, 1)))
    return EvidenceScores(**{name: _number(value) for name, value in scores.items()})


def _intervals(
    paired: Paired,
    half: BoolArray,
    tuned: BoolArray | None,
    given: FloatArray,
    end_to_end: FloatArray,
    resamples: int,
    seed: int,
) -> dict[str, Interval]:
    if not resamples:
        return {}
    weights = resampling.author_weights([g.author for g in paired.gold], resamples, seed)
    decisions = {"": half} if tuned is None else {"": half, "tuned_": tuned}
    values = resampled_scores(paired, decisions, {"": given, "end_to_end_": end_to_end}, weights)
    found = {key: resampling.percentile_interval(resampled) for key, resampled in values.items()}
    return {key: Interval(low=ends[0], high=ends[1]) for key, ends in found.items() if ends is not None}


def resampled_scores(
    paired: Paired, decisions: Mapping[str, BoolArray], evidence: Mapping[str, FloatArray], weights: FloatArray
) -> dict[str, FloatArray]:
    """The metrics of weighted posts, by the keys of ``Evaluation.scalars``: those that a bootstrap can resample.

    Args:
        paired: N posts with K criteria.
        decisions: [N, K] each, by the prefix of their keys.
        evidence: [N, K, len(Sum)] each, by the prefix of their keys.
        weights: [B, N], how often each post counts.

    Returns:
        [B] each; NaN where undefined.
    """
    values: dict[str, FloatArray] = {}
    summaries: tuple[tuple[str, Callable[[FloatArray], FloatArray]], ...] = (
        ("f1_macro", crit.macro_f1),
        ("f1_micro", crit.micro_f1),
    )
    for prefix, decided in decisions.items():
        totals = np.tensordot(weights, crit.counts(paired.labels, decided), axes=1)
        values |= {prefix + name: metric(totals) for name, metric in summaries}
    values["auprc_macro"] = crit.macro_average_precision(paired.labels, paired.probabilities, weights)
    for prefix, sums in evidence.items():
        scores = ev.evidence_scores(weights @ sums.sum(1))
        values |= {prefix + evidence_key(name): scores[name] for name in INTERVAL_EVIDENCE}
    return values
