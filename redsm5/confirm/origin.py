"""Which trial of which study a run is, and what the files of the study say of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from redsm5.confirm.models import Candidate, Confirmation
from redsm5.confirm.on_disk import read_confirmation
from redsm5.confirm.trained import is_trained_again, train_again, weights_run
from redsm5.ensemble.models import Ensemble
from redsm5.ensemble.on_disk import read_ensemble
from redsm5.errors import UserError
from redsm5.hpo.records import best_first
from redsm5.hpo.results import REPORT_FILE, STUDY_FILE
from redsm5.hpo.retention import REFITS, TRIALS
from redsm5.hpo.study_folder import KEY
from redsm5.hpo_report.models import SEARCH_FILE, SearchReport
from redsm5.inference.calibrated import Shipped
from redsm5.metrics.platt import Platt
from redsm5.report.made import read_made
from redsm5.report.search_card import Origin, candidate_of
from redsm5.report.study_models import StudyReport, TrialReport
from redsm5.run.folder import RunFolder

MARKS = (STUDY_FILE, KEY, "study.db")
"""One of them is in the folder of a study, beside its trials."""


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / TRIALS).is_dir() and any((folder / name).exists() for name in MARKS)


def study_of(run: Path) -> tuple[Path, int] | None:
    """The folder of the study and the number of the trial that a run is an attempt at, or its config trained again.

    None where its path is that of neither.
    """
    if _is_again(run) and re.fullmatch(r"\d{5,}", run.name):
        return run.parents[1], int(run.name)
    trial = run.parent
    if not re.fullmatch(r"attempt-\d+", run.name) or not re.fullmatch(r"\d{5,}", trial.name):
        return None
    return (trial.parents[1], int(trial.name)) if trial.parent.name == TRIALS else None


@dataclass(frozen=True)
class StudyFiles:
    """What the files of a study say of its trials, read once.

    Attributes:
        path: Folder of the study.
        reports: Of the trials that have ended on this machine, by number.
        searched: What ``study.json`` says; None where the search has not ended, or went on.
        confirmation: Of its best trials; None where there is none of the trials that are there now.
        ensemble: What was combined of them; None as before.
        found: What ``redsm5 report`` found; None where it is of other trials than are there now.
    """

    path: Path
    reports: dict[int, TrialReport]
    searched: StudyReport | None
    confirmation: Confirmation | None
    ensemble: Ensemble | None
    found: SearchReport | None

    @classmethod
    def read(cls, path: Path, tell: Callable[[str], None]) -> StudyFiles:
        """Read what there is.

        Args:
            path: Folder of the study.
            tell: Says what of the files is left out.
        """
        made = [
            read_made(file, TrialReport, lambda _: None) for file in sorted((path / TRIALS).glob(f"*/{REPORT_FILE}"))
        ]
        reports = {one.trial: one for one in made if one is not None}
        confirmation = read_confirmation(path, reports, tell)
        searched = _searched(path, reports, tell)
        ensemble = read_ensemble(path, reports, tell)
        return cls(path, reports, searched, confirmation, ensemble, _found(path, reports, tell))

    @cached_property
    def ranked(self) -> list[int]:
        """The trials that were trained to their end, the best one first."""
        from redsm5.hpo.objectives import objectives_of

        if not self.reports:
            return []
        objective = next(iter(self.reports.values())).objective  # that of all: the study is held to it
        direction = {"min": "minimize", "max": "maximize"}[objectives_of([objective])[0].mode]
        return [one.trial for one in best_first(self.reports.values(), direction)]

    def best_run(self, tell: Callable[[str], None]) -> Path:
        """The run that holds the weights of the trial to be used: the confirmed best one, else the best of the search.

        Args:
            tell: Says which.

        Raises:
            UserError: There is none, it is on another machine, or it keeps no weights.
        """
        if self.searched is not None and self.searched.best:
            first, called = self.searched.best[0].trial, "the best one of the search"
        elif self.ranked:
            first, called = self.ranked[0], "the best one so far"
        else:
            raise UserError(f"{self.path} has no trial that was trained to its end; go on with redsm5 hpo first")
        if self.confirmation is not None and self.confirmation.best is not None:
            number, why = self.confirmation.best, "the confirmed best one"
        else:
            why = "the search has not ended" if self.searched is None else "none is confirmed"
            number, why = first, f"{called}; {why}"
        tell(f"trial {number} of {self.path.name}: {why}")
        if first != number and first in self.reports:
            tell(f"{called} is trial {first}: redsm5 export {self.path / self.reports[first].run}")
        return self._with_weights(number, tell)

    def run_with_weights(self, run: Path, tell: Callable[[str], None]) -> Path:
        """The run that is to be used for this one: itself, or of a trial without weights its config trained again.

        Args:
            run: Folder of a run that ``study_of`` finds in this study.
            tell: Says so where it is not itself.

        Raises:
            UserError: It is of a trial whose weights are not here.
        """
        report = self._of(run)
        if report is None or _is_again(run.resolve()) or RunFolder(run).kept.best() is not None:
            return run
        return self._with_weights(report.trial, tell)

    def origin_of(self, run: Path, *, confirmed: bool, tell: Callable[[str], None]) -> Origin | None:
        """What the files say of a run; None where it is of no trial that has ended, or of another config.

        Args:
            run: Folder of a run that ``study_of`` finds in this study.
            confirmed: Whether thresholds and calibration of the confirmation are asked for.
            tell: Says why the card says nothing of the search.

        Raises:
            UserError: Thresholds and calibration are asked for, and there are none for it.
        """
        run = run.resolve()
        report = self._of(run)
        if report is None:
            if confirmed:
                raise not_of_a_study(run)
            return None
        number, again = report.trial, _is_again(run)
        if again and not is_trained_again(self.path, report):
            said = f"{run} is of another config than trial {number}"
            if confirmed:
                anew = train_again(self.path, number)
                raise UserError(f"{said}, and --confirmed is of that; train it anew: {anew} --fresh")
            tell(f"{said}: the card says nothing of the search")
            return None
        candidate = None if self.confirmation is None else candidate_of(self.confirmation, number)
        if confirmed and (candidate is None or candidate.pooled is None or candidate.mean is None):
            raise UserError(_why_not(self.path, number, candidate))
        complete = None if self.searched is None else self.searched.counts.complete
        known = complete == len(self.ranked) and number in self.ranked
        rank = self.ranked.index(number) + 1 if known else None if candidate is None else candidate.rank
        return Origin(
            trial=report,
            rank=rank,
            study=self.searched,
            confirmation=self.confirmation,
            ensemble=self.ensemble,
            importances=() if self.found is None else self.found.importances,
            again=again,
            tested=RunFolder(run).predictions("test").exists(),
            confirmed=confirmed,
        )

    def _of(self, run: Path) -> TrialReport | None:
        """Of the trial that a run is of; None where it is of none, or of another study."""
        found = study_of(run.resolve())
        return None if found is None or found[0] != self.path.resolve() else self.reports.get(found[1])

    def _with_weights(self, trial: int, tell: Callable[[str], None]) -> Path:
        report = self.reports.get(trial)
        run = None if report is None else weights_run(self.path, report)
        if report is None or (run is None and not (self.path / report.run).is_dir()):
            raise UserError(
                f"trial {trial} of {self.path} is not on this machine; export it where it ran, or copy its folder"
            )
        if run is None:
            raise UserError(
                f"trial {trial} keeps no weights (hpo.keep says of how many it does); train it again with "
                f"{train_again(self.path, trial)}, and give the same command again"
            )
        if _is_again(run.path):
            tell(f"trial {trial} keeps no weights; what is exported is its config trained again, {run.path}")
        return run.path


def not_of_a_study(run: Path) -> UserError:
    """That ``--confirmed`` cannot be had for a run."""
    return UserError(f"--confirmed is for the trials of a study, and {run} is none; redsm5 confirm makes it")


def shipped(origin: Origin) -> Shipped | None:
    """Thresholds and calibration from the out-of-fold predictions of a trial; None where there are none."""
    candidate = None if origin.confirmation is None else candidate_of(origin.confirmation, origin.trial.trial)
    if candidate is None or candidate.pooled is None:
        return None
    return Shipped(
        thresholds={one.code: one.threshold for one in candidate.pooled.thresholds},
        maps={one.code: Platt(one.slope, one.offset) for one in candidate.pooled.thresholds},
    )


def _is_again(run: Path) -> bool:
    """Whether a run lies where the config of a trial is trained again."""
    return run.parent.name == REFITS


def _why_not(study: Path, trial: int, candidate: Candidate | None) -> str:
    """Why ``--confirmed`` cannot be had for a trial."""
    if candidate is None or candidate.failed:
        return f"trial {trial} of {study} is not confirmed; run redsm5 confirm {study}, or leave out --confirmed"
    return (
        f"trial {trial} of {study} is not confirmed, as the metric is undefined on all of its folds; leave out "
        "--confirmed"
    )


def _searched(study: Path, reports: dict[int, TrialReport], tell: Callable[[str], None]) -> StudyReport | None:
    """What ``study.json`` says, where no trial has ended since: then the search went on, and has not ended."""
    found = read_made(study / STUDY_FILE, StudyReport, tell)
    newest = max(reports.values(), key=lambda one: one.created, default=None)
    if found is None or newest is None or newest.created <= found.created:
        return found
    tell(f"{study / STUDY_FILE} is older than trial {newest.trial}: the search went on, and it is left out")
    return None


def _found(study: Path, reports: dict[int, TrialReport], tell: Callable[[str], None]) -> SearchReport | None:
    """What ``search.json`` says, where it has all trials that are there, as they are."""
    found = read_made(study / SEARCH_FILE, SearchReport, tell)
    rows = {} if found is None else {row.trial: (row.value, row.params) for row in found.trials}
    other = next((one.trial for one in reports.values() if rows.get(one.trial) != (one.value, one.params)), None)
    if found is None or other is None:
        return found
    tell(
        f"{study / SEARCH_FILE} is of other trials than are there now (trial {other}), and left out; redsm5 report anew"
    )
    return None
