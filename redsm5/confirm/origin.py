"""Which trial of which study a run is, and what the files of the study say of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from redsm5.confirm.models import Candidate
from redsm5.confirm.on_disk import read_confirmation
from redsm5.confirm.trained import is_trained_again, train_again, weights_run
from redsm5.ensemble.on_disk import read_ensemble
from redsm5.errors import UserError
from redsm5.hpo.records import best_first
from redsm5.hpo.results import REPORT_FILE
from redsm5.hpo.retention import REFITS, TRIALS
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
    """The folder of the study and the number of the trial that a run is an attempt at, or its config trained again.

    None where its path is that of neither.
    """
    if _is_again(run) and re.fullmatch(r"\d{5,}", run.name):
        return run.parents[1], int(run.name)
    trial = run.parent
    if not re.fullmatch(r"attempt-\d+", run.name) or not re.fullmatch(r"\d{5,}", trial.name):
        return None
    return (trial.parents[1], int(trial.name)) if trial.parent.name == TRIALS else None


def best_run(study: Path, tell: Callable[[str], None]) -> Path:
    """The run that holds the weights of the trial to be used: the confirmed best one, else the best of the search.

    Args:
        study: Folder of the study.
        tell: Says which, and what of the files is left out.

    Raises:
        UserError: There is none, it is on another machine, or it keeps no weights.
    """
    reports = _reports(study)
    found = read_confirmation(study, reports, tell)
    searched = _searched(study, reports, tell)
    ranked = best_first(reports.values(), _direction(reports))
    if searched is not None and searched.best:
        first, called = searched.best[0].trial, "the best one of the search"
    elif ranked:
        first, called = ranked[0].trial, "the best one so far"
    else:
        raise UserError(f"{study} has no trial that was trained to its end; go on with redsm5 hpo first")
    if found is not None and found.best is not None:
        number, why = found.best, "the confirmed best one"
    else:
        number, why = first, f"{called}; {'the search has not ended' if searched is None else 'none is confirmed'}"
    tell(f"trial {number} of {study.name}: {why}")
    if first != number and first in reports:
        tell(f"{called} is trial {first}: redsm5 export {study / reports[first].run}")
    return _with_weights(study, number, reports, tell)


def run_with_weights(run: Path, tell: Callable[[str], None]) -> Path:
    """The run that is to be used for this one: itself, or of a trial without weights its config trained again.

    Args:
        run: Folder of any run.
        tell: Says so where it is not itself.

    Raises:
        UserError: It is of a trial whose weights are not here.
    """
    whole = run.resolve()
    found = None if _is_again(whole) or RunFolder(whole).kept.best() is not None else study_of(whole)
    reports = {} if found is None else _reports(found[0])
    if found is None or found[1] not in reports:
        return run
    return _with_weights(*found, reports, tell)


def origin_of(run: Path, *, confirmed: bool, tell: Callable[[str], None]) -> Origin | None:
    """What the files of its study say of a run; None where it is neither a trial of one nor its config trained again.

    Args:
        run: Folder of a run, whole.
        confirmed: Whether thresholds and calibration of the confirmation are asked for.
        tell: Says what of the files is left out.

    Raises:
        UserError: Thresholds and calibration are asked for, and there are none for it.
    """
    found = study_of(run)
    reports = {} if found is None else _reports(found[0])
    report = None if found is None else reports.get(found[1])
    if found is None or report is None:
        if confirmed:
            raise UserError(f"--confirmed is for the trials of a study, and {run} is none; redsm5 confirm makes it")
        return None
    study, number = found
    again = _is_again(run)
    if again and not is_trained_again(study, report):
        said = f"{run} is of another config than trial {number}"
        if confirmed:
            raise UserError(f"{said}, and --confirmed is of that; train it anew: {train_again(study, number)} --fresh")
        tell(f"{said}: the card says nothing of the search")
        return None
    searched = _searched(study, reports, tell)
    confirmation = read_confirmation(study, reports, tell)
    candidate = None if confirmation is None else candidate_of(confirmation, number)
    if confirmed and (candidate is None or candidate.pooled is None or candidate.mean is None):
        raise UserError(_why_not(study, number, candidate))
    ranked = [one.trial for one in best_first(reports.values(), _direction(reports))]
    known = searched is not None and searched.counts.complete == len(ranked) and number in ranked
    rank = ranked.index(number) + 1 if known else None if candidate is None else candidate.rank
    return Origin(
        trial=report,
        rank=rank,
        study=searched,
        confirmation=confirmation,
        ensemble=read_ensemble(study, reports, tell),
        again=again,
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


def _is_again(run: Path) -> bool:
    """Whether a run lies where the config of a trial is trained again."""
    return run.parent.name == REFITS


def _with_weights(study: Path, trial: int, reports: dict[int, TrialReport], tell: Callable[[str], None]) -> Path:
    report = reports.get(trial)
    run = None if report is None else weights_run(study, report)
    if report is None or (run is None and not (study / report.run).is_dir()):
        raise UserError(f"trial {trial} of {study} is not on this machine; export it where it ran, or copy its folder")
    if run is None:
        raise UserError(
            f"trial {trial} keeps no weights (hpo.keep says of how many it does); train it again with "
            f"{train_again(study, trial)}, and give the same command again"
        )
    if _is_again(run.path):
        tell(f"trial {trial} keeps no weights; what is exported is its config trained again, {run.path}")
    return run.path


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
    found = read_made(study / "study.json", StudyReport, tell)
    newest = max(reports.values(), key=lambda one: one.created, default=None)
    if found is None or newest is None or newest.created <= found.created:
        return found
    tell(f"{study / 'study.json'} is older than trial {newest.trial}: the search went on, and it is left out")
    return None
