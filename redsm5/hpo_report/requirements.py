"""What a search is held to, and whether it meets it."""

from __future__ import annotations

from redsm5.hpo_report.models import Requirement
from redsm5.report.study_models import StudyReport

PRUNED_BY_5 = 0.20
STOPPED_OF_COMPLETE = 0.50
WITHIN_SHARE = 0.30
"""Share of the budget by which a trial within 1 % of the best value is to be found: 300 of 1,000."""
OVERHEAD_SECONDS = 0.6
START_SECONDS = 1.0


def requirements(study: StudyReport) -> list[Requirement]:
    """Each with the figure of this study.

    Args:
        study: What ``study.json`` says.
    """
    counts, shares, seconds = study.counts, study.shares, study.seconds
    ended = counts.complete + counts.pruned + counts.failed
    within = study.first_within_one_percent
    latest = WITHIN_SHARE * study.budget
    overhead = (seconds["sampling"] + seconds["storage"]) / ended if ended else None
    start = seconds["start"] / ended if ended else None
    good = counts.complete + counts.pruned
    return [
        _least("share of trials pruned in the first five epochs", PRUNED_BY_5, shares.pruned_by_epoch_5, good > 0),
        _least(
            "share of the trials that were not pruned that early stopping ended",
            STOPPED_OF_COMPLETE,
            shares.stopped_early_of_complete,
            counts.complete > 0,
        ),
        _most("first trial within 1 % of the best value", latest, None if within is None else float(within), "{:.0f}"),
        _most("failed trials", 0.0, float(counts.failed) if ended else None, "{:.0f}"),
        _most("seconds of sampler and storage per trial", OVERHEAD_SECONDS, overhead, "{:g}"),
        _most("seconds to start a trial", START_SECONDS, start, "{:g}"),
    ]


def _least(what: str, least: float, found: float, known: bool) -> Requirement:
    value = found if known else None
    return Requirement(
        what=what, required=f"at least {least:g}", found=value, met=None if value is None else value >= least
    )


def _most(what: str, most: float, found: float | None, form: str) -> Requirement:
    said = "none" if most == 0 else f"at most {form.format(most)}"
    return Requirement(what=what, required=said, found=found, met=None if found is None else found <= most)
