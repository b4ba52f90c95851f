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
NO_PRUNER = "NopPruner"
"""Optuna's class that prunes nothing."""


def requirements(study: StudyReport) -> list[Requirement]:
    """Each with the figure of this study.

    Shares and seconds are judged as they stand, whether or not trials are to come. Which trial was the first near the
    best one is known when there can be no better one, with the last trial of the budget. A search that was asked not to
    prune is not held to pruning.

    Args:
        study: What ``study.json`` says.
    """
    counts, shares, seconds = study.counts, study.shares, study.seconds
    ended = counts.complete + counts.pruned + counts.failed
    good = counts.complete + counts.pruned
    within = study.first_within_one_percent
    near = _most(
        "first trial within 1 % of the best value",
        WITHIN_SHARE * study.budget,
        None if within is None else float(within),
    )
    if ended < study.budget:
        near = near.model_copy(update={"met": None})
    overhead = (seconds["sampling"] + seconds["storage"]) / ended if ended else None
    pruned = _least(
        "share of the trials that did not fail pruned in the first five epochs",
        PRUNED_BY_5,
        shares.pruned_by_epoch_5 if good else None,
    )
    return [
        *([] if study.pruner == NO_PRUNER else [pruned]),
        _least(
            "share of the trials that neither failed nor were pruned stopped early",
            STOPPED_OF_COMPLETE,
            shares.stopped_early_of_complete if counts.complete else None,
        ),
        near,
        _most("failed trials", 0.0, float(counts.failed) if ended else None),
        _most("seconds of sampler and storage per trial", OVERHEAD_SECONDS, overhead),
        _most("seconds to start a trial", START_SECONDS, seconds["start"] / ended if ended else None),
    ]


def _least(what: str, least: float, found: float | None) -> Requirement:
    met = None if found is None else found >= least
    return Requirement(what=what, required=f"at least {least:g}", found=found, met=met)


def _most(what: str, most: float, found: float | None) -> Requirement:
    said = "none" if most == 0 else f"at most {most:g}"
    return Requirement(what=what, required=said, found=found, met=None if found is None else found <= most)
