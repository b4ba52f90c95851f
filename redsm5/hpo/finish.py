"""What a study comes to: ``study.json``, the best config, and the one look at the test part."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import yaml
from sqlalchemy.engine import make_url

from redsm5 import __version__
from redsm5.atomic import write_text_atomically
from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.children import ChildDied, Tell, in_child
from redsm5.errors import UserError
from redsm5.hpo.chosen import BEST_FILE, write_best
from redsm5.hpo.objectives import pareto_front
from redsm5.hpo.records import PEAK, PRUNE_HORIZON, Records, best_first, first_within, read_records
from redsm5.hpo.results import STUDY_FILE, tidy
from redsm5.hpo.retention import search_bytes, trial_folder
from redsm5.hpo.storage import patiently
from redsm5.hpo.study import Study
from redsm5.report.study_models import (
    BestTrial,
    Counts,
    FrontTrial,
    ObjectiveInfo,
    Shares,
    StudyReport,
    TestResult,
    TrialReport,
)
from redsm5.report.writing import read_report
from redsm5.run.lock import FolderHeld, Writes, run_lock

PATIENCE = 3600.0
"""Seconds that the database may be away."""
LOOK = 1.0
"""Seconds between two looks whether another process has finished the study."""
LONGEST_WAIT = 600.0
"""Seconds to wait for the same process of another host: where a file system has no locks, it may be long gone."""
TESTED = "redsm5:tested"
"""Attribute of the study: numbers of the trials that were evaluated on the test part, in that order."""


def study_report(study: Study, records: Records) -> StudyReport:
    """What the database and the folder say of a study now."""
    plan, ended = study.plan, records.ended
    attrs = study.optuna.user_attrs
    ranked = best_first(ended, plan.direction.name.lower())
    tested: list[int] = attrs.get(TESTED, [])
    return StudyReport(
        created=datetime.now(UTC),
        redsm5=__version__,
        study=study.settings.label,
        storage=make_url(study.settings.url).render_as_string(hide_password=True),
        objective=plan.objective,
        direction="minimize" if plan.mode == "min" else "maximize",
        objectives=[
            ObjectiveInfo(name=one.name, direction="minimize" if one.mode == "min" else "maximize")
            for one in plan.searched
        ],
        seed=plan.seed,
        sampler=plan.sampler,
        pruner=plan.pruner,
        dimensions=len(study.space.searched),
        budget=study.settings.n_trials,
        counts=Counts(
            complete=len(records.of("COMPLETE")),
            pruned=len(records.of("PRUNED")),
            failed=len(records.of("FAIL")),
            running=len(records.running),
            lost_attempts=records.lost,
        ),
        reasons=dict(Counter(report.reason for report in records.of("FAIL")).most_common()),
        shares=_shares(records),
        best=[_best(study, report) for report in ranked if _ties(report, ranked[0])],
        front=[
            FrontTrial(trial=report.trial, objectives=report.objectives, params=report.params)
            for report in (pareto_front(ended, plan.searched) if len(plan.searched) > 1 else [])
        ],
        first_within_one_percent=first_within(ended, plan.direction.name.lower()),
        test=_tested(study, ranked[0]) if ranked and ranked[0].trial in tested else None,
        test_evaluations=len(tested),
        tested=tested,
        seconds=_seconds(study, ended),
        peak_disk_bytes=max(attrs.get(PEAK, 0), search_bytes(study.folder)),
    )


def finish(study: Study, tell: Callable[[str], None]) -> StudyReport:
    """Publish all results, write ``study.json`` and the best config, and test the best trial, unless it was.

    A test that fails leaves them as they are, without it. Of several that come to the end at once, one does it, and
    the others wait for it.

    Raises:
        UserError: No trial has trained to its end, or the best one cannot be tested, or not here.
    """
    with _alone(study.folder, tell):
        records = patiently(lambda: read_records(study.optuna), PATIENCE)
        tidy(study, records, set())  # workers may have been ended, or killed, before they did
        ranked = best_first(records.ended, study.plan.direction.name.lower())
        if not ranked:
            reasons = Counter(report.reason for report in records.of("FAIL")).most_common(3)
            said = "; ".join(f"{count} x {reason}" for reason, count in reasons)
            raise UserError(f"no trial of {study.folder} has trained to its end: {said or 'all were pruned'}")
        best = ranked[0]
        run = study.folder / best.run
        report = _write_report(study, records)
        if is_here := run.is_dir():
            config = (trial_folder(study.folder, best.trial) / "config.yaml").read_text(encoding="utf-8")
            write_best(study, config, best, tell)
            _note_look(study, best, tell)
            if "test" not in read_report(run / "report.json").evaluations:
                _write_report(study, records)  # with the look, which may be cut short
                _test(run, study.folder / "test.log")
            report = _write_report(study, records)
    if not is_here:
        raise UserError(
            f"all trials have ended, and the best one, {best.trial}, has its folder on "
            f"{best.host}: run the same command there, which tests it and writes {BEST_FILE}"
        )
    return report


@contextmanager
def _alone(folder: Path, tell: Callable[[str], None]) -> Iterator[None]:
    """Wait for who finishes the study already; not for ever where nobody can tell whether that process lives."""
    said, since = "", time.monotonic()
    while True:
        try:
            with run_lock(folder, writes=Writes(f"the results of {folder}", f"finishes {folder}", "--study-dir")):
                yield
                return
        except FolderHeld as held:
            if str(held) != said:
                said, since = str(held), time.monotonic()
                tell(f"waiting: {said}")
            elif held.elsewhere and time.monotonic() - since > LONGEST_WAIT:
                raise
            time.sleep(LOOK)


def _write_report(study: Study, records: Records) -> StudyReport:
    report = patiently(lambda: study_report(study, records), PATIENCE)
    write_text_atomically(study.folder / STUDY_FILE, report.model_dump_json(indent=2) + "\n")
    return report


def _note_look(study: Study, best: TrialReport, tell: Callable[[str], None]) -> None:
    tested: list[int] = patiently(lambda: study.optuna.user_attrs.get(TESTED, []), PATIENCE)
    if best.trial not in tested:
        tell(f"trial {best.trial} is the best one: evaluating it on the test part")
        # Noted before: a look that was cut short was a look.
        patiently(lambda: study.optuna.set_user_attr(TESTED, [*tested, best.trial]), PATIENCE)


def _shares(records: Records) -> Shares:
    good = [report for report in records.ended if report.state != "FAIL"]
    pruned = [report for report in good if report.state == "PRUNED"]
    early = [report for report in pruned if report.pruned_at is not None and report.pruned_at < PRUNE_HORIZON]
    stopped = [report for report in good if report.state == "COMPLETE" and report.stopped_early]
    of = max(1, len(good))
    return Shares(
        pruned=len(pruned) / of,
        pruned_by_epoch_5=len(early) / of,
        stopped_early=len(stopped) / of,
        stopped_early_of_complete=len(stopped) / max(1, len(good) - len(pruned)),
    )


def _ties(report: TrialReport, best: TrialReport) -> bool:
    return report.value == best.value


def _best(study: Study, report: TrialReport) -> BestTrial:
    assert report.value is not None
    config = trial_folder(study.folder, report.trial) / "config.yaml"
    weights = CheckpointFolder(study.folder / report.run / "checkpoints").entries("weights")
    return BestTrial(
        trial=report.trial,
        value=report.value,
        val_loss=report.metrics.get("val_loss"),
        params=report.params,
        config=yaml.safe_load(config.read_text(encoding="utf-8")) if config.exists() else {},
        run=report.run,
        checkpoint=str(weights[-1].path.relative_to(study.folder)) if weights else None,
    )


def _tested(study: Study, best: TrialReport) -> TestResult | None:
    path = study.folder / best.run / "report.json"
    evaluation = read_report(path).evaluations.get("test") if path.exists() else None
    if evaluation is None:
        return None
    value = evaluation.scalars().get(best.objective.removeprefix("val_"))
    sign = -1 if study.plan.mode == "min" else 1
    optimism = None if value is None or best.value is None else sign * (best.value - value)
    return TestResult(trial=best.trial, evaluation=evaluation, value=value, optimism=optimism)


def _seconds(study: Study, ended: tuple[TrialReport, ...]) -> dict[str, float]:
    sums = {
        name: sum(getattr(report.seconds, name) for report in ended)
        for name in ("sampling", "pretraining", "start", "fits", "storage")
    }
    times = [trial.datetime_start for trial in study.optuna.get_trials(deepcopy=False) if trial.datetime_start]
    ends = [trial.datetime_complete for trial in study.optuna.get_trials(deepcopy=False) if trial.datetime_complete]
    wall = (max(ends) - min(times)).total_seconds() if times and ends else 0.0
    return {**sums, "wall": wall}


def _test(run: Path, log: Path) -> None:
    try:
        outcome = in_child(partial(_evaluate, run, log))
    except ChildDied as error:
        raise UserError(f"the test of {run} did not end: {error}; {log} says more") from error
    if isinstance(outcome, UserError):
        raise outcome


def _evaluate(run: Path, log: Path, tell: Tell) -> UserError | None:
    from redsm5.hpo.child import forget_ranks, print_into
    from redsm5.run.evaluation import run_on_part

    print_into(str(log))
    forget_ranks()
    try:
        run_on_part([str(run)], "test")
    except UserError as error:
        return error
    return None
