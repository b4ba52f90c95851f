"""A worker: claims trials of a study, one after another, and runs them until the budget is used up."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from pydantic import JsonValue

from redsm5.atomic import write_text_atomically
from redsm5.errors import UserError
from redsm5.hpo.beating import Beating
from redsm5.hpo.leases import AlreadyDone, Attempt, Claim, Leases, Lost
from redsm5.hpo.messages import Ended, Epoch, Started
from redsm5.hpo.records import PEAK, REPORT, Records, best_first, read_records
from redsm5.hpo.retention import disk_bytes, prune_study, trial_folder
from redsm5.hpo.space.draw import draw, settings
from redsm5.hpo.space.resolve import trial_args
from redsm5.hpo.storage import Away, insist, reaching
from redsm5.hpo.study import Study
from redsm5.hpo.trial import Outcome, run_attempt, take_over, write_config
from redsm5.hpo.trial_process import TrialProcess
from redsm5.report.study_models import EndState, TrialReport, TrialSeconds

WAIT = 2.0
"""Seconds between two looks for something to do, while other workers hold what is left."""
PATIENCE = 3600.0
"""Seconds that the database may be away."""
MOST_ATTEMPTS = 10
"""A trial whose worker was gone so often has failed: it may be what kills it."""
FEWEST = 10
"""Trials that have to end before the share of failed ones stops the study."""
STATES = {"trained": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
"""States by how the fit ended; the others are FAIL."""


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
        self.bounds = study.bounds(tell)
        self.sampling = study.sampling()
        self._removed: set[int] = set()
        self._peak = 0

    def work(self, ended: Callable[[TrialReport], None] = lambda _: None) -> Records:
        """Run trials until all of the budget have ended, by whomever.

        Args:
            ended: Hears of each trial that ended here.

        Raises:
            UserError: Too many trials fail, or the database is away for long.
        """
        since: float | None = None
        while True:
            try:
                records = self._next(ended)
                since = None
            except Away as away:
                since = since or time.monotonic()
                if time.monotonic() - since > PATIENCE:
                    raise UserError(f"the database does not answer: {away}; the same command goes on") from away
                self.tell(f"the database does not answer ({away}); trying again")
                time.sleep(WAIT)
                continue
            if records is not None:
                return records

    def _next(self, ended: Callable[[TrialReport], None]) -> Records | None:
        """Run a trial, or wait for those that others run; all trials where the budget is used up."""
        budget = self.study.settings.n_trials
        claim = self.leases.claim(budget)
        if claim is None:
            with reaching():
                records = read_records(self.study.optuna)
            if len(records.ended) >= budget:
                return records
            time.sleep(WAIT)
            return None
        report = self._trial(claim)
        if report is not None:
            with reaching():
                records = read_records(self.study.optuna)
            self._prune_disk(records)
            ended(report)
            self._refuse_failing(records)
        return None

    def _trial(self, claim: Claim) -> TrialReport | None:
        """Run a trial; None where another worker has ended it or holds it now."""
        folder = trial_folder(self.study.folder, claim.slot)
        run_dir = folder / f"attempt-{claim.token}"
        clock = Clock()
        process = TrialProcess(
            clock.started, lambda epoch: tell(epoch), stuck_seconds=60 * self.study.settings.stuck_minutes
        )
        try:
            with Beating(self.leases, claim, process.end) as beating:
                kept = _newest(folder, run_dir)
                with clock.timed("sampling"):
                    attempt = self.leases.attempt(claim, self._draw, lambda _: -1 if kept is None else kept)
                tell = self._teller(attempt, beating, clock)
                outcome, params, notes = self._run(attempt, folder, run_dir, process)
                if process.was_ended:
                    return None
                report = self._report(attempt, params, notes, outcome, clock, run_dir)
                write_config(folder, run_dir, self.study.folder / "refits" / folder.name)
                write_text_atomically(folder / "report.json", report.model_dump_json(indent=2) + "\n")
                insist(lambda: self._finish(attempt, report), until=lambda: beating.is_lost)
                return report
        except (Lost, AlreadyDone):
            return None
        except Away:
            self.leases.abandon(claim)
            raise
        except KeyboardInterrupt:
            with suppress(Away):
                self.leases.release(claim)
            raise

    def _draw(self, slot: int) -> FrozenTrial:
        return self.sampling.draw(slot, partial(draw, self.study.space))

    def _teller(self, attempt: Attempt, beating: Beating, clock: Clock) -> Callable[[Epoch], bool]:
        """What stores an epoch and asks the pruner; while the database is away the training waits."""

        def tell(epoch: Epoch) -> bool:
            with clock.timed("storage"):
                insist(lambda: self.leases.report(attempt, epoch.number, epoch.value), until=lambda: beating.is_lost)
                return insist(lambda: self.sampling.prunes(attempt), until=lambda: beating.is_lost)

        return tell

    def _run(
        self, attempt: Attempt, folder: Path, run_dir: Path, process: TrialProcess
    ) -> tuple[Outcome, dict[str, Any], dict[str, Any]]:
        plan, space, base = self.study.plan, self.study.space, self.study.base_args()
        args, notes = base, dict[str, Any]()
        ended = None
        if attempt.index >= MOST_ATTEMPTS:
            ended = Ended("killed", f"its worker was gone {MOST_ATTEMPTS} times", "it may be what ends them")
        else:
            try:
                args, notes = trial_args(space, attempt.params, base, self.bounds, training_posts=plan.training_posts)
            except UserError as error:  # such as a hub that does not answer; what fails often stops the study
                ended = Ended("refused", f"refused: {error}", str(error))
        fit = process.run if ended is None else lambda _, how=ended: how
        outcome = run_attempt(args, folder, run_dir, plan.objective, plan.mode, fit)
        return outcome, attempt.params, notes

    def _finish(self, attempt: Attempt, report: TrialReport) -> None:
        with reaching():
            try:
                self.study.storage.set_trial_user_attr(attempt.trial_id, REPORT, report.model_dump(mode="json"))
            except (UpdateFinishedTrialError, KeyError):
                raise Lost from None
        state = TrialState[report.state]
        # Of a pruned trial Optuna wants the value that it was pruned at.
        last = attempt.values[max(attempt.values)] if attempt.values else report.value
        value = {TrialState.COMPLETE: report.value, TrialState.PRUNED: last, TrialState.FAIL: None}[state]
        self.leases.finish(attempt, state, value)

    def _report(
        self,
        attempt: Attempt,
        params: dict[str, Any],
        notes: dict[str, Any],
        outcome: Outcome,
        clock: Clock,
        run_dir: Path,
    ) -> TrialReport:
        ended, training = outcome.ended, outcome.training
        epochs = training.get("epochs") or int(outcome.metrics.get("epoch", -1)) + 1
        state = STATES.get(ended.how, TrialState.FAIL)
        return TrialReport(
            created=datetime.now(UTC),
            study=self.study.settings.name,
            trial=attempt.claim.slot,
            attempts=attempt.index + 1,
            state=cast(EndState, state.name),
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
            settings=cast(dict[str, JsonValue], settings(self.study.space, params)),
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
        used = disk_bytes(self.study.folder)
        if used > 1.02 * self._peak:  # not every byte more is worth a transaction
            self._peak = used
            with suppress(Away), reaching():
                known = self.study.optuna.user_attrs.get(PEAK, 0)
                if used > known:
                    self.study.optuna.set_user_attr(PEAK, used)
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


class Clock:
    """Seconds by what was done."""

    def __init__(self) -> None:
        self.seconds = {"sampling": 0.0, "start": 0.0, "storage": 0.0}

    def started(self, message: Started) -> None:
        """Note how long the start of a fit took; the last one counts."""
        self.seconds["start"] = message.seconds

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the time of a block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[what] += time.monotonic() - began


def _newest(folder: Path, run_dir: Path) -> int | None:
    """Go on where the newest attempt before this one has a checkpoint; the last epoch that ended in it."""
    earlier = [path for path in folder.glob("attempt-*") if path != run_dir]
    for path in sorted(earlier, key=lambda path: -int(path.name.removeprefix("attempt-"))):
        if (kept := take_over(path, run_dir)) is not None:
            return kept
    return None
