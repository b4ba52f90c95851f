"""What a search found, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from redsm5.checkpoints.space import size_words
from redsm5.hpo.status import span
from redsm5.hpo_report.combined import combined_sentence
from redsm5.hpo_report.importance import FEWEST
from redsm5.hpo_report.models import Combined, Confirmed, Group, Importance, Requirement
from redsm5.hpo_report.tested import look_sentence, metric_of
from redsm5.report.study_models import StudyReport

NAMED = 3
"""Parameters and groups that are named."""


def summary(
    study: StudyReport,
    found: Sequence[Importance],
    groups: Sequence[Group],
    required: Sequence[Requirement],
    confirmed: Confirmed | None,
    combined: Combined | None,
) -> list[str]:
    """The sentences on top of a report; all that they say stands below them too."""
    counts = study.counts
    ended = counts.complete + counts.pruned + counts.failed
    left = "" if ended >= study.budget else f"; {study.budget - ended} are still to come"
    said = [
        f"{ended} of {study.budget} trials have ended: {counts.complete} trained to their end, {counts.pruned} were "
        f"pruned, {counts.failed} failed{left}."
    ]
    if study.best:
        said += _best(study, found, groups, confirmed, combined)
    else:
        said.append("None was trained to its end, so that there is no best one.")
    if not ended:
        return said
    shares = study.shares
    said.append(
        f"Of the trials that did not fail, pruning ended {shares.pruned:.0%}, and {shares.pruned_by_epoch_5:.0%} in "
        f"their first five epochs; early stopping ended {shares.stopped_early_of_complete:.0%} of those that were not "
        "pruned."
    )
    said += _missed(required, over=ended >= study.budget)
    seconds = study.seconds
    said.append(
        f"From the first trial to the last it took {span(seconds['wall'])}; the trials took {span(seconds['fits'])} "
        f"together, and at the peak {size_words(study.peak_disk_bytes)} of disk."
    )
    return said


def _best(
    study: StudyReport,
    found: Sequence[Importance],
    groups: Sequence[Group],
    confirmed: Confirmed | None,
    combined: Combined | None,
) -> Iterator[str]:
    """The best trial, what became of it, and what made it."""
    best = study.best[0]
    yield (
        f"The best {study.objective} on the validation part is {best.value:.4f}, of trial {best.trial}"
        + (f", and {len(study.best) - 1} more are as good" if len(study.best) > 1 else "")
        + f"; the first within 1 % of it was trial {study.first_within_one_percent}."
    )
    yield look_sentence(study)
    if confirmed is not None:
        yield _confirmed(confirmed, metric_of(study))
    if combined is not None:
        yield combined_sentence(combined)
    yield _mattered(found, groups, study.counts.complete + study.counts.pruned)
    if len(study.objectives) > 1:
        names = ", ".join(one.name for one in study.objectives)
        yield f"{len(study.front)} trials are on the Pareto front of {names}."


def _confirmed(confirmed: Confirmed, metric: str) -> str:
    best = next((one for one in confirmed.candidates if one.trial == confirmed.best), None)
    if best is None or best.mean is None:
        return f"Of {len(confirmed.candidates)} trials that were trained again none was confirmed."
    between = best.interval
    interval = (
        "" if between is None else f", {100 * confirmed.level:.0f} % interval {between.low:.4f} to {between.high:.4f}"
    )
    return (
        f"Trained again on {confirmed.folds} folds, trial {best.trial} is the best of {len(confirmed.candidates)}: "
        f"{metric} {best.mean:.4f}{interval}, where the search had {best.search_value:.4f}."
    )


def _mattered(found: Sequence[Importance], groups: Sequence[Group], trials: int) -> str:
    if not found and trials < FEWEST:
        return f"What the parameters did cannot be said: that takes {FEWEST} trials with a value."
    if not found:
        return "What the parameters did cannot be said: the values of the trials hardly differ."
    above = [one for one in found if one.above]
    if not above:
        return "No parameter decided more than chance would whether a trial was among the best tenth."
    named = ", ".join(f"{one.name} ({one.importance:.0%})" for one in above[:NAMED])
    of = ", ".join(f"{one.name} ({one.importance:.0%})" for one in groups[:NAMED] if one.importance > 0)
    return (
        f"What decided most, and more than chance would, whether a trial was among the best tenth: {named}; of the "
        f"groups {of}."
    )


def _missed(required: Sequence[Requirement], *, over: bool) -> Iterator[str]:
    far = "" if over else " so far"
    missed = [one.what for one in required if one.met is False]
    unknown = [one.what for one in required if one.met is None]
    if missed:
        yield f"Not as required{far}: {'; '.join(missed)}."
    elif not unknown:
        yield f"All requirements of a search are met{far}."
    else:
        yield f"All requirements of a search that can be judged are met{far}."
    if unknown:
        yield f"Not known yet: {'; '.join(unknown)}."
