"""What a model card says of the search that a model is from, and of its confirmation. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redsm5.confirm.models import Calibration, Candidate, Confirmation, Difference
from redsm5.ensemble.models import MAIN, Ensemble
from redsm5.hpo.status import values_words
from redsm5.hpo_report.models import Importance
from redsm5.metrics.evaluation import Interval
from redsm5.metrics.platt import Platt
from redsm5.report.study_models import StudyReport, TrialReport
from redsm5.words import best_of, counted

FLAT = 0.005
"""A slope below this is 0.00 in the table: whatever the model says, its calibrated probability is the same."""
NAMED = 5
"""Parameters that are named as those that mattered."""


@dataclass(frozen=True)
class Origin:
    """Where a model is from, as far as files say.

    Attributes:
        trial: The trial that it is.
        rank: Among the trials that were trained to their end; None where it is not known.
        study: The search; None where it has not ended.
        confirmation: Of its best trials; None where there was none.
        ensemble: What was combined of its best trials; None where nothing was.
        importances: Of the parameters of the search; empty where no report says, or they cannot be said.
        again: Whether the model is the config of the trial trained again.
        tested: Whether this run was evaluated on the test part.
        confirmed: Whether the export has thresholds and calibration of the confirmation.
    """

    trial: TrialReport
    rank: int | None = None
    study: StudyReport | None = None
    confirmation: Confirmation | None = None
    ensemble: Ensemble | None = None
    importances: Sequence[Importance] = ()
    again: bool = False
    tested: bool = False
    confirmed: bool = False


def search_sections(origin: Origin) -> str:
    """Sections of the card, as Markdown."""
    sections = [("How it was found", _search(origin))]
    if (found := origin.confirmation) is not None:
        sections.append(("Whether it holds", _confirmed(origin.trial.trial, found)))
        if origin.confirmed:
            sections.append(("Thresholds and calibration", _shipped(candidate_of(found, origin.trial.trial), found)))
    return "\n\n".join(f"## {title}\n\n" + "\n".join(lines) for title, lines in sections)


def candidate_of(found: Confirmation, trial: int) -> Candidate | None:
    """The candidate that a trial is; None where it is none of them."""
    return next((one for one in found.candidates if one.trial == trial), None)


def _search(origin: Origin) -> list[str]:
    trial, study = origin.trial, origin.study
    metric = trial.objective.removeprefix("val_")
    of = "" if study is None else f" of {study.counts.complete} that were trained to their end"
    rank = "" if origin.rank is None else f", rank {origin.rank}{of}"
    lines = [
        f"- trial {trial.trial} of a hyperparameter search with redsm5{rank}",
        f"- its best `{metric}` on the validation part: {_number(trial.value)}. The validation part chose the trial "
        "and its epoch, so this value flatters",
    ]
    if origin.again:
        lines.append(
            "- this model is the config of that trial trained again: the figures of the search are those of the trial, "
            "not of these very weights"
        )
    lines += _objectives(trial, study)
    if study is None:
        lines.append("- the search has not ended, or what it came to is not in its folder")
    else:
        lines = [search_line(study), *lines, *_best(trial, study), *_test(origin, study, metric)]
    if origin.importances:
        lines.append(_mattered(trial, origin.importances))
    return lines if origin.ensemble is None else [*lines, _combined(trial.trial, origin.ensemble)]


def _objectives(trial: TrialReport, study: StudyReport | None) -> list[str]:
    """What there was to optimise, and what the trial has of it; nothing where it was one metric."""
    lines = []
    if study is not None and len(study.objectives) > 1:
        names = ", ".join(f"`{one.name}` ({one.direction}d)" for one in study.objectives)
        lines.append(f"- it was for several objectives at once: {names}")
    if len(trial.objectives) > 1:
        front = [] if study is None else [one.trial for one in study.front]
        where = "on" if trial.trial in front else "not on"
        said = f"; it is {where} the Pareto front, which has {counted(len(front), 'trial')}" if front else ""
        lines.append(f"- this trial has {values_words(trial.objectives)}{said}")
    return lines


def _best(trial: TrialReport, study: StudyReport) -> list[str]:
    if not study.best:
        return []
    best = study.best[0]
    own = "this trial" if best.trial == trial.trial else f"trial {best.trial}"
    return [f"- the best value of the search: {_number(best.value)}, of {own}"]


def _mattered(trial: TrialReport, importances: Sequence[Importance]) -> str:
    """Which parameters did, and what this trial has of them."""
    above = [one for one in importances if one.above][:NAMED]
    if not above:
        return "- no parameter decided more than chance would whether a trial was among the best tenth"
    named = (f"`{one.name}` {one.importance:.0%} ({_value(trial, one.name)})" for one in above)
    return (
        "- what decided most, and more than chance would, whether a trial was among the best tenth, with what this "
        f"trial has: {', '.join(named)}"
    )


def _value(trial: TrialReport, name: str) -> str:
    if name not in trial.params:
        return "not active"
    value = trial.params[name]
    if value is None:
        return "none"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _combined(trial: int, found: Ensemble) -> str:
    """How the ensemble of the best trials compares with the best of them."""
    chosen = next(one for one in found.compared if one.name == found.chosen)
    best, gain, ends = found.compared[0].name, chosen.gains.get(MAIN), chosen.gain_intervals.get(MAIN)
    interval = "" if ends is None else f" ({_percent(found.level)} interval {ends.low:+.3f} to {ends.high:+.3f})"
    against = (
        f"could not be compared with {best}"
        if gain is None
        else f"{gain:+.3f}{interval} in macro F1 at tuned thresholds against {best}, the best single one, on folds of "
        "the validation part"
    )
    trials = ", ".join(str(member.trial) for member in found.members)
    member = "a member" if any(one.trial == trial for one in found.members) else "no member"
    return f"- the ensemble of trials {trials} ({found.chosen}): {against}; this trial is {member}"


def search_line(study: StudyReport) -> str:
    """What a search was, as an item of a list."""
    counts = study.counts
    return (
        f"- the search: {study.budget} trials asked for; {counts.complete} trained to their end, {counts.pruned} "
        f"pruned, {counts.failed} failed; {study.dimensions} dimensions, sampler {study.sampler}, pruner "
        f"{study.pruner}, seed {study.seed}"
    )


def looks_line(study: StudyReport) -> str:
    """How often it looked at the test part, likewise."""
    times = {0: "never", 1: "once"}.get(study.test_evaluations, f"{study.test_evaluations} times")
    return f"- the search looked at the test part {times}"


def _test(origin: Origin, study: StudyReport, metric: str) -> list[str]:
    lines = [looks_line(study)]
    test = study.test
    own = test is not None and test.trial == origin.trial.trial
    if test is not None and own:
        interval = test.evaluation.intervals.get(metric)
        gap = "" if test.optimism is None else f"; optimism of the search, validation less test: {test.optimism:+.3f}"
        said = f"`{metric}` {_number(test.value)}{_interval(interval, test.evaluation.bootstrap.level)}{gap}"
        lines.append(f"- this trial on the test part: {said}")
    elif test is not None:
        lines.append(f"- what was tested is trial {test.trial}, not this one")
    if origin.tested and (origin.again or not own):
        this = "this model" if origin.again else "this trial"
        lines.append(f"- {this} was evaluated on the test part besides, which the search does not count")
    return lines


def _confirmed(trial: int, found: Confirmation) -> list[str]:
    scope = (
        f"{best_of(len(found.candidates))} trained again on {found.design} "
        f"of the {found.posts} training and validation posts by {found.authors} authors; the test posts were in none "
        "of them."
    )
    one = candidate_of(found, trial)
    if one is None:
        return [f"{scope} This trial was not among them."]
    metric, trainings = found.metric, len(found.seeds) * found.folds
    if one.failed:
        return [f"{scope} This trial is not confirmed: {len(one.failed)} of its trainings have failed."]
    if one.mean is None:
        return [f"{scope} This trial is not confirmed: `{metric}` is undefined on all of its folds."]
    undefined = "" if one.refits == trainings else f" ({one.refits} of them: on the other folds it is undefined)"
    confirmed = sum(candidate.mean is not None for candidate in found.candidates)
    place = 1 + next(i for i, candidate in enumerate(found.candidates) if candidate.trial == trial)
    luck = (
        "; as the best of them it was chosen by these values, which flatters it a little"
        if place == 1 < confirmed
        else ""
    )
    lines = [
        scope,
        "",
        f"- `{metric}` on the folds: {one.mean:.3f}{_interval(one.interval, found.level)}, mean over "
        f"{trainings} trainings{undefined}; place {place} of {confirmed}{luck}",
        f"- difference to the search: {_signed(one.search_difference)} (its value there less this mean). Luck of the "
        f"choice is in it, and that these trainings had {found.refit_training_posts:.0f} posts, those of the search "
        f"{found.training_posts}",
    ]
    if one.pooled_value is not None and one.unselected_value is not None:
        lines.append(
            f"- on the posts that each training had not seen, of all folds: {one.pooled_value:.3f}; on those "
            f"{found.training_posts} posts alone that took no part in choosing it: {one.unselected_value:.3f}"
        )
    apart = [pair for pair in found.differences if trial in (pair.trial, pair.other)]
    return [*lines, *_differences(apart, found)] if apart else lines


def _differences(apart: Sequence[Difference], found: Confirmation) -> list[str]:
    """The best one less each other one: all of them on the card of the best, else the one pair."""
    lines = [
        "",
        f"| `{found.metric}` | difference | {_percent(found.level)} interval | p | all folds together | p |",
        "|---" * 6 + "|",
    ]
    for one in apart:
        pooled = "" if one.pooled_difference is None else f"{one.pooled_difference:+.3f}"
        interval = "" if one.interval is None else f"{one.interval.low:+.3f} to {one.interval.high:+.3f}"
        cells = (_number(one.p_holm), pooled, _number(one.pooled_p_holm))
        lines.append(
            f"| trial {one.trial} less trial {one.other} | {one.difference:+.3f} | {interval} | {' | '.join(cells)} |"
        )
    test = (
        "The first p is of the corrected resampled t-test over trainings with the same seed and fold, the second of a "
        "paired bootstrap over authors that takes the trained models as given; both by Holm over "
        f"{counted(len(found.differences), 'pair')}, not corrected for trial {found.best} being the best of them."
    )
    return [*lines, "", test]


def _shipped(one: Candidate | None, found: Confirmation) -> list[str]:
    if one is None or one.pooled is None:
        return []
    pooled = one.pooled
    lines = [
        f"Both are from the out-of-fold predictions of the confirmation: of models with this config, on {found.posts} "
        "posts that they had not seen. Probabilities go through sigmoid(slope x logit(p) + offset); a decision is the "
        "same as that of the model's own probability at its threshold.",
        "",
        f"- calibration error (mean over criteria): {pooled.ece_macro:.3f} before, {pooled.calibrated_ece_macro:.3f} "
        f"after, calibrated on the other folds; Brier score {pooled.brier_macro:.3f}, "
        f"{pooled.calibrated_brier_macro:.3f}",
    ]
    half, tuned = pooled.scores.get("f1_macro"), pooled.scores.get("tuned_f1_macro")
    if half is not None and tuned is not None:
        lines.append(
            f"- macro F1 of these predictions at 0.5: {half:.3f}; at thresholds from the other folds: {tuned:.3f}"
        )
    if flat := [one.code for one in pooled.thresholds if one.slope < FLAT]:
        lines.append(
            f"- the calibrated probability of {', '.join(flat)} is the same for every post: their order by the model "
            "was no better than chance on posts that it had not seen; decisions are by its own probability"
        )
    head = "| criterion | posts with it | threshold | slope | offset | calibrated threshold |"
    return [*lines, "", head, "|---" * 6 + "|", *(_criterion(one) for one in pooled.thresholds)]


def _criterion(one: Calibration) -> str:
    calibrated = float(Platt(one.slope, one.offset)(np.array([one.threshold]))[0])
    values = (one.threshold, one.slope, one.offset, calibrated)
    return f"| {one.code} | {one.support} | {' | '.join(f'{value:.2f}' for value in values)} |"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _interval(interval: Interval | None, level: float) -> str:
    return "" if interval is None else f" ({_percent(level)} interval {interval.low:.3f} to {interval.high:.3f})"


def _percent(level: float) -> str:
    return f"{round(100 * level)} %"
