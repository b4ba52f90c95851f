"""A worker: claims trials of a study, one after another, and runs them until the budget is used up."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import optuna
from optuna.trial import TrialState

from redsm5.atomic import write_text_atomically
from redsm5.errors import UserError
from redsm5.hpo.leases import AlreadyDone, Beating, Claim, Leases, Lost
from redsm5.hpo.messages import Epoch, Started, Task
from redsm5.hpo.records import REPORT, Records, best_first, read_records
from redsm5.hpo.retention import disk_bytes, prune_study, trial_folder
from redsm5.hpo.space.draw import draw, settings
from redsm5.hpo.space.resolve import Bounds, trial_args
from redsm5.hpo.study import Study
from redsm5.hpo.trial import Outcome, run_attempt, take_over, write_config
from redsm5.hpo.trial_process import TrialProcess
from redsm5.report.study_models import TrialReport, TrialSeconds

WAIT = 2.0
"""Seconds between two looks for something to do, while other workers hold what is left."""
FEWEST = 10
"""Trials that have to end before the share of failed ones stops the study."""
STATES = {"trained": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
DISK = "redsm5:disk_bytes"
"""User attribute of an attempt that has ended: bytes of the study's folder."""


class Worker:
    """Runs trials of a study in this process's children.

    Args:
        study: The study.
        tell: Shows a line.
    """

    def __init__(self, study: Study, tell: Callable[[str], None]) -> None:
        self.study = study
        self.tell = tell
        self.leases = Leases(study.storage, study.id, lease_seconds=study.settings.lease_seconds)
        self.bounds = Bounds(study.base_args(), tell)
        self._removed: set[int] = set()

    def work(self, ended: Callable[[TrialReport], None] = lambda _: None) -> Records:
        """Run trials until all of the budget have ended, by whomever.

        Args:
            ended: Hears of each trial that ended here.

        Raises:
            UserError: Too many trials fail.
        """
        budget = self.study.settings.n_trials
        while True:
            claim = self.leases.claim(budget)
            if claim is None:
                records = read_records(self.study.optuna)
                if len(records.ended) >= budget:
                    return records
                time.sleep(WAIT)
                continue
            report = self._trial(claim)
            if report is not None:
                records = read_records(self.study.optuna)
                self._prune_disk(records)
                ended(report)
                self._refuse_failing(records)

    def _trial(self, claim: Claim) -> TrialReport | None:
        """Run a trial; None where another worker has ended it or holds it now."""
        number = claim.slot
        folder = trial_folder(self.study.folder, number)
        run_dir = folder / f"attempt-{claim.token}"
        clock = _Clock()
        fit = TrialProcess(clock.started, lambda epoch: self._epoch(trial, epoch, clock), stuck_seconds=self._stuck)
        try:
            with Beating(self.leases, claim, on_lost=fit.end):
                kept = _take_over(folder, run_dir)
                attempt = self.leases.attempt(claim, keep_until=kept)
                with clock.sampling():
                    trial = optuna.Trial(self.study.optuna, attempt.trial_id)
                    params = draw(self.study.space, trial)
                posts = self.study.plan.training_posts
                args, notes = trial_args(
                    self.study.space, params, self.study.base_args(), self.bounds, training_posts=posts
                )
                outcome = run_attempt(args, folder, run_dir, self.study.plan.objective, self.study.plan.mode, fit.run)
                if fit.was_ended:
                    return None
                report = self._report(claim, attempt.count, params, notes, outcome, clock, run_dir)
                write_config(folder, run_dir, self.study.folder / "refits" / folder.name)
                write_text_atomically(folder / "report.json", report.model_dump_json(indent=2) + "\n")
                trial.set_user_attr(REPORT, report.model_dump(mode="json"))
                trial.set_user_attr(DISK, disk_bytes(self.study.folder))
                state = STATES.get(outcome.ended.how, TrialState.FAIL)
                self.leases.finish(claim, attempt.trial_id, state, None if state is TrialState.FAIL else report.value)
                return report
        except (Lost, AlreadyDone):
            return None

    @property
    def _stuck(self) -> float:
        return 60 * self.study.settings.stuck_minutes

    def _epoch(self, trial: optuna.Trial, epoch: Epoch, clock: _Clock) -> bool:
        with clock.storage():
            # Not `trial.report`, which keeps the value of an epoch that is done again with another batch.
            self.study.storage.set_trial_intermediate_value(trial._trial_id, epoch.number, epoch.value)
            return trial.should_prune()

    def _report(
        self,
        claim: Claim,
        attempts: int,
        params: dict[str, object],
        notes: list[str],
        outcome: Outcome,
        clock: _Clock,
        run_dir: Path,
    ) -> TrialReport:
        ended, training = outcome.ended, outcome.training
        epochs = training.get("epochs") or int(outcome.metrics.get("epoch", -1)) + 1
        state = STATES.get(ended.how, TrialState.FAIL)
        return TrialReport(
            created=datetime.now(UTC),
            study=self.study.settings.name,
            trial=claim.slot,
            attempts=attempts,
            state=state.name,
            reason="" if state is not TrialState.FAIL else ended.reason,
            detail="" if state is not TrialState.FAIL else ended.detail,
            objective=self.study.plan.objective,
            value=outcome.value,
            best_epoch=training.get("best_epoch"),
            epochs=epochs,
            stopped_early=bool(training.get("stopped_early")),
            pruned_at=epochs - 1 if state is TrialState.PRUNED else None,
            metrics={name: value for name, value in outcome.metrics.items() if name.startswith("val_")},
            params=params,
            settings=settings(self.study.space, params),
            notes=notes,
            batches=[halved.options for halved in outcome.halved],
            seconds=TrialSeconds(
                sampling=clock.seconds["sampling"],
                start=clock.seconds["start"],
                fits=outcome.seconds,
                storage=clock.seconds["storage"],
            ),
            memory_gb=ended.memory_gb,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            run=str(run_dir.relative_to(self.study.folder)),
        )

    def _prune_disk(self, records: Records) -> None:
        best = best_first(records.ended, self.study.plan.direction.name.lower())[: self.study.settings.keep]
        ended = {report.trial: report.run for report in records.ended}
        prune_study(self.study.folder, ended, {report.trial for report in best}, self._removed)

    def _refuse_failing(self, records: Records) -> None:
        failed, ended = records.of("FAIL"), len(records.ended)
        if ended < FEWEST or len(failed) <= self.study.settings.max_failed * ended:
            return
        common = Counter(report.reason for report in failed).most_common(3)
        reasons = "; ".join(f"{count} x {reason}" for reason, count in common)
        raise UserError(
            f"{len(failed)} of {ended} trials have failed, more than hpo.max_failed "
            f"({self.study.settings.max_failed:g}) allows: {reasons}; {self.study.folder}/trials/*/log.txt say more"
        )


class _Clock:
    """Seconds by what was done."""

    def __init__(self) -> None:
        self.seconds = {"sampling": 0.0, "start": 0.0, "storage": 0.0}

    def started(self, message: Started) -> None:
        self.seconds["start"] = message.seconds

    def sampling(self) -> _Timed:
        return _Timed(self.seconds, "sampling")

    def storage(self) -> _Timed:
        return _Timed(self.seconds, "storage")


class _Timed:
    """Adds the time of its block."""

    def __init__(self, seconds: dict[str, float], name: str) -> None:
        self._seconds, self._name = seconds, name

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *error: object) -> None:
        self._seconds[self._name] += time.monotonic() - self._began


def _take_over(folder: Path, run_dir: Path) -> int | None:
    """Go on where the newest attempt before this one has a checkpoint; the last epoch that ended in it."""
    earlier = [path for path in folder.glob("attempt-*") if path != run_dir]
    for path in sorted(earlier, key=lambda path: -int(path.name.removeprefix("attempt-"))):
        if (kept := take_over(path, run_dir)) is not None:
            return kept
    return None
