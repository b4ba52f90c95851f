"""Which trial of which study a run is, and what the files of the study say of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from redsm5.confirm.on_disk import read_confirmation
from redsm5.errors import UserError
from redsm5.hpo.records import best_first
from redsm5.hpo.results import CONFIG_FILE, REPORT_FILE
from redsm5.hpo.retention import TRIALS, trial_folder
from redsm5.inference.calibrated import Shipped
from redsm5.metrics.platt import Platt
from redsm5.report.made import read_made
from redsm5.report.search_card import Origin, candidate_of
from redsm5.report.study_models import StudyReport, TrialReport
from redsm5.run.folder import RunFolder

STUDY_FILES = ("study.json", ".study", "study.db")
"""One of them is in the folder of a study, beside its trials."""


def is_study(folder: Path) -> bool:
    """Whether a folder is that of a study."""
    return (folder / TRIALS).is_dir() and any((folder / name).exists() for name in STUDY_FILES)


def study_of(run: Path) -> tuple[Path, int] | None:
    """The folder of the study and the number of the trial that a run is an attempt at; None where it is none."""
    trial = run.parent
    if not re.fullmatch(r"attempt-\d+", run.name) or not re.fullmatch(r"\d{5,}", trial.name):
        return None
    return (trial.parents[1], int(trial.name)) if trial.parent.name == TRIALS else None


def best_run(study: Path, tell: Callable[[str], None]) -> Path:
    """The run of the trial that is to be used: the confirmed best one, else the best of the search.

    Args:
        study: Folder of the study.
        tell: Says which, and what of the files is left out.

    Raises:
        UserError: There is none, or it is on another machine.
    """
    reports = _reports(study)
    found = read_confirmation(study, reports, tell)
    searched = read_made(study / "study.json", StudyReport, tell)
    if found is not None and found.best is not None:
        number, why = found.best, "the confirmed best one"
    elif searched is not None and searched.best:
        number, why = searched.best[0].trial, "the best one of the search; none is confirmed"
    elif ranked := best_first(reports.values(), _direction(reports)):
        number, why = ranked[0].trial, "the best one so far; the search has not ended"
    else:
        raise UserError(f"{study} has no trial that was trained to its end; go on with redsm5 hpo first")
    report = reports.get(number)
    if report is None or not (study / report.run).is_dir():
        raise UserError(f"trial {number} of {study} is not on this machine; export it where it ran, or copy its folder")
    tell(f"trial {number} of {study.name}: {why}")
    first = reports.get(searched.best[0].trial) if searched is not None and searched.best else None
    if first is not None and first.trial != number:
        tell(f"the best one of the search is trial {first.trial}: redsm5 export {study / first.run}")
    return study / report.run


def origin_of(run: Path, *, confirmed: bool, tell: Callable[[str], None]) -> Origin | None:
    """What the files of its study say of a run; None where it is no trial of one.

    Args:
        run: Folder of a run, whole.
        confirmed: Whether thresholds and calibration of the confirmation are asked for.
        tell: Says what of the files is left out.

    Raises:
        UserError: The trial keeps no weights, or they are asked for and there are none for it.
    """
    found = study_of(run)
    report = None if found is None else _reports(found[0]).get(found[1])
    if found is None or report is None:
        if confirmed:
            raise UserError(f"--confirmed is for the trials of a study, and {run} is none; redsm5 confirm makes it")
        return None
    study, number = found
    if RunFolder(run).kept.best() is None:
        config = trial_folder(study, number) / CONFIG_FILE
        raise UserError(
            f"trial {number} keeps no weights (hpo.keep says of how many it does); train it again with redsm5 fit "
            f"--config {config} --run_dir FOLDER, and export that"
        )
    reports = _reports(study)
    searched = read_made(study / "study.json", StudyReport, tell)
    if searched is not None and searched.created < report.created:
        tell(f"{study / 'study.json'} is older than the trial, and left out of the card")
        searched = None
    confirmation = read_confirmation(study, reports, tell)
    candidate = None if confirmation is None else candidate_of(confirmation, number)
    if confirmed and (candidate is None or candidate.pooled is None):
        raise UserError(
            f"trial {number} of {study} is not confirmed; run redsm5 confirm {study}, or leave out --confirmed"
        )
    ranked = [one.trial for one in best_first(reports.values(), _direction(reports))]
    known = searched is not None and searched.counts.complete == len(ranked) and number in ranked
    rank = ranked.index(number) + 1 if known else None if candidate is None else candidate.rank
    return Origin(
        trial=report,
        rank=rank,
        study=searched,
        confirmation=confirmation,
        tested=RunFolder(run).predictions("test").exists(),
        confirmed=confirmed,
    )


def shipped(origin: Origin) -> Shipped | None:
    """Thresholds and calibration from the out-of-fold predictions of a trial; None where there are none."""
    candidate = None if origin.confirmation is None else candidate_of(origin.confirmation, origin.trial.trial)
    if candidate is None or candidate.pooled is None:
        return None
    return Shipped(
        thresholds={one.code: one.threshold for one in candidate.pooled.thresholds},
        maps={one.code: Platt(one.slope, one.offset) for one in candidate.pooled.thresholds},
    )


def _reports(study: Path) -> dict[int, TrialReport]:
    """Of the trials that have ended on this machine, by number."""
    found = [read_made(path, TrialReport, lambda _: None) for path in sorted((study / TRIALS).glob(f"*/{REPORT_FILE}"))]
    return {one.trial: one for one in found if one is not None}


def _direction(reports: dict[int, TrialReport]) -> str:
    from redsm5.hpo.objectives import objectives_of

    for report in reports.values():
        return "minimize" if objectives_of([report.objective])[0].mode == "min" else "maximize"
    return "maximize"
