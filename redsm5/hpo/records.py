"""The trials of a study as rows: one per number within the budget, whatever number of attempts it took."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial
from pydantic import ValidationError

from redsm5.errors import UserError
from redsm5.hpo.attempts import SLOT, is_lost
from redsm5.report.study_models import TrialReport

REPORT = "redsm5:report"
"""User attribute of an attempt that has ended: its ``report.json``."""
PEAK = "redsm5:peak_disk_bytes"
"""Attribute of the study: the most bytes that its folder took."""
PRUNE_HORIZON = 5
"""Epochs of which the share of pruned trials is reported."""


@dataclass(frozen=True)
class Records:
    """The trials of a study.

    Attributes:
        ended: Reports of those that have ended, by number.
        running: Numbers of those that run, or wait to be taken up again.
        lost: Attempts whose worker was gone.
        at_work: Numbers of those that a worker is at, on whatever machine, alive or not yet found dead.
    """

    ended: tuple[TrialReport, ...]
    running: tuple[int, ...]
    lost: int
    at_work: tuple[int, ...] = ()

    def below(self, budget: int) -> int:
        """How many of those that have ended are of this budget: an earlier one may have been larger."""
        return sum(report.trial < budget for report in self.ended)

    def of(self, state: str) -> list[TrialReport]:
        """Those that ended in a state."""
        return [report for report in self.ended if report.state == state]


def read_records(study: optuna.Study, known: dict[int, TrialReport] | None = None) -> Records:
    """All trials, as the database has them now.

    Args:
        study: In the database.
        known: Reports that were read before, by the id of their attempt, which never change; added to. Checking those
            of 1,000 trials takes as long as a short epoch.
    """
    known = {} if known is None else known
    ended: dict[int, TrialReport] = {}
    running: set[int] = set()
    at_work: set[int] = set()
    lost = 0
    for trial in study.get_trials(deepcopy=False):
        slot = trial.system_attrs.get(SLOT)
        if slot is None:
            continue
        if is_lost(trial):
            lost += 1
            running.add(slot)
        elif trial.state.is_finished():
            if trial._trial_id not in known:
                known[trial._trial_id] = report_of(trial)
            ended[slot] = known[trial._trial_id]
        else:
            running.add(slot)
            at_work.add(slot)
    return Records(
        tuple(ended[slot] for slot in sorted(ended)),
        tuple(sorted(running - ended.keys())),
        lost,
        tuple(sorted(at_work - ended.keys())),
    )


def report_of(trial: FrozenTrial) -> TrialReport:
    """The report that an ended trial carries.

    Raises:
        UserError: It carries none that this version can read.
    """
    try:
        report: TrialReport = TrialReport.model_validate(trial.user_attrs[REPORT])
    except (KeyError, ValidationError) as error:
        raise UserError(
            f"trial {trial.system_attrs[SLOT]} of the study was ended by another version of redsm5, or by another "
            "program; use that version, or begin a new study: --study-dir NEW"
        ) from error
    return report


def best_first(reports: Iterable[TrialReport], direction: str) -> list[TrialReport]:
    """Complete trials, the best first; equal values by the lower validation loss, then by number."""
    sign = 1 if direction == "minimize" else -1

    def rank(report: TrialReport) -> tuple[float, float, int]:
        assert report.value is not None
        return sign * report.value, report.metrics.get("val_loss", math.inf), report.trial

    return sorted((r for r in reports if r.state == "COMPLETE" and r.value is not None), key=rank)


def first_within(reports: Sequence[TrialReport], direction: str, share: float = 0.01) -> int | None:
    """Number of the first trial whose value is within a share of the best one."""
    ranked = best_first(reports, direction)
    if not ranked:
        return None
    best = ranked[0].value or 0.0
    near = [r.trial for r in ranked if r.value is not None and abs(best - r.value) <= share * abs(best)]
    return min(near)
