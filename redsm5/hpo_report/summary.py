"""What a search found, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from redsm5.checkpoints.space import size_words
from redsm5.hpo.status import span
from redsm5.hpo_report.models import Group, Importance, Requirement
from redsm5.report.study_models import StudyReport, TestResult

NAMED = 3
"""Parameters and groups that are named."""


def summary(
    study: StudyReport, importances: Sequence[Importance], groups: Sequence[Group], required: Sequence[Requirement]
) -> list[str]:
    """The sentences on top of a report; all that they say stands below them too."""
    counts = study.counts
    ended = counts.complete + counts.pruned + counts.failed
    left = "" if ended >= study.budget else f"; {study.budget - ended} are still to come"
    said = [
        f"{ended} of {study.budget} trials have ended: {counts.complete} trained to their end, {counts.pruned} were "
        f"pruned, {counts.failed} failed{left}."
    ]
    if not study.best:
        return [*said, "None was trained to its end, so that there is no best one."]
    best = study.best[0]
    within = study.first_within_one_percent
    said.append(
        f"The best {study.objective} on the validation part is {best.value:.4f}, of trial {best.trial}"
        + (f", and {len(study.best) - 1} more are as good" if len(study.best) > 1 else "")
        + f"; the first within 1 % of it was trial {within}."
    )
    said.append(_test(study.test, study.objective))
    if importances:
        named = ", ".join(f"{one.name} ({one.importance:.0%})" for one in importances[:NAMED])
        of = ", ".join(f"{one.name} ({one.importance:.0%})" for one in groups[:NAMED])
        said.append(f"What decided most whether a trial was among the best tenth: {named}; of the groups {of}.")
    if len(study.objectives) > 1:
        names = ", ".join(one.name for one in study.objectives)
        said.append(f"{len(study.front)} trials are on the Pareto front of {names}.")
    shares = study.shares
    said.append(
        f"Pruning ended {shares.pruned:.0%} of the trials, {shares.pruned_by_epoch_5:.0%} in their first five epochs; "
        f"early stopping ended {shares.stopped_early_of_complete:.0%} of the others."
    )
    missed = [one.what for one in required if one.met is False]
    said.append(f"Not as required: {', '.join(missed)}." if missed else "All requirements of a search are met.")
    seconds = study.seconds
    said.append(
        f"From the first trial to the last it took {span(seconds['wall'])}; the trials took {span(seconds['fits'])} "
        f"together, and at the peak {size_words(study.peak_disk_bytes)} of disk."
    )
    return said


def _test(test: TestResult | None, objective: str) -> str:
    if test is None or test.value is None:
        return "The test part has not been looked at."
    name = objective.removeprefix("val_")
    between = test.evaluation.intervals.get(name)
    interval = "" if between is None else f" (interval {between.low:.4f} to {between.high:.4f})"
    gap = "" if test.optimism is None else f"; the validation value was {_gap(test.optimism)}"
    return f"On the test part trial {test.trial} has {name} {test.value:.4f}{interval}{gap}."


def _gap(optimism: float) -> str:
    return f"{abs(optimism):.4f} {'better' if optimism >= 0 else 'worse'}"
