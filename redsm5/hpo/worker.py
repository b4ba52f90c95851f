"""A worker: claims trials of a study, one after another, and runs them until the budget is used up."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from pydantic import JsonValue

from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.checkpoints.space import disk_fails
from redsm5.errors import MachineFault, UserError
from redsm5.hpo.attempts import LOST, RELEASED, Kept
from redsm5.hpo.batches import ACCUMULATE, BATCHING, batches_of
from redsm5.hpo.beating import Beating
from redsm5.hpo.failures import refuse_failing
from redsm5.hpo.leases import AlreadyDone, Attempt, Claim, Leases, Lost
from redsm5.hpo.messages import Ended, Epoch, Started
from redsm5.hpo.objectives import Objective
from redsm5.hpo.records import PEAK, REPORT, Records, read_records
from redsm5.hpo.results import disk_fault, keep_result, publish, tidy
from redsm5.hpo.retention import prune_earlier, search_bytes, trial_folder
from redsm5.hpo.space.draw import draw, settings
from redsm5.hpo.space.resolve import trial_args
from redsm5.hpo.storage import Away, DatabaseAway, insist, patiently, reaching
from redsm5.hpo.study import BUDGET, Study
from redsm5.hpo.taking_over import furthest
from redsm5.hpo.trial import Outcome, config_text, run_attempt
from redsm5.hpo.trial_process import TrialProcess
from redsm5.report.study_models import EndState, TrialReport, TrialSeconds
from redsm5.tracebacks import place_of

WAIT = 2.0
"""Seconds between two looks for something to do, while other workers hold what is left."""
PATIENCE = 3600.0
"""Seconds that the database may be away."""
MOST_DEATHS = 10
"""A trial whose worker died so often, while it came no further, has failed: it may be what kills it."""
MOST_RELEASES = 30
"""The same of a trial that its worker let go so often: the jobs are too short for its start and one step."""
NOTED = {f"{BATCHING}train": "batch", f"{BATCHING}train_tokens": "tokens", ACCUMULATE: "accumulation"}
"""What the notes of a report call the batches of a run."""
OF_MEMORY = ("memory", "evaluation")
"""Notes that say what fits on a machine."""
STATES = {"trained": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
"""States by how the fit ended; the others are FAIL."""


class Worker:
    """Runs trials of a study in this process's children.

    Args:
        study: The study.
        tell: Shows a line.
        alone: Whether it sees that not too many trials fail; a parent with several workers does so itself.
    """

    def __init__(self, study: Study, tell: Callable[[str], None], *, alone: bool = True) -> None:
        self.study = study
        self.tell = tell
        lease = study.plan.lease_seconds
        self.leases = patiently(lambda: Leases(study.storage, study.id, lease_seconds=lease), PATIENCE)
        self.bounds = study.bounds(tell)
        self.sampling = patiently(study.sampling, PATIENCE)
        self._reports: dict[int, TrialReport] = {}
        self._before = patiently(lambda: read_records(study.optuna, self._reports), PATIENCE) if alone else None
        self._removed: set[int] = set()
        self._peak, self._above = 0, 0
        self._settled: dict[int, int] = {}
        self._clock = Clock()

    def work(self, ended: Callable[[Records], None] = lambda _: None) -> Records:
        """Run trials until all of the budget have ended, by whomever.

        Args:
            ended: Hears of the study whenever a trial has ended here.

        Raises:
            UserError: Too many trials fail, a disk is full, or the database is away for long.
        """
        since: float | None = None
        while True:
            try:
                records = self._next(ended)
                since = None
            except Away as away:
                since = since or time.monotonic()
                if time.monotonic() - since > PATIENCE:
                    raise DatabaseAway(f"the database does not answer: {away}; the same command goes on") from away
                self.tell(f"the database does not answer ({away}); trying again")
                time.sleep(WAIT)
                self._clock = Clock()
                continue
            if records is not None:
                return records

    def _next(self, ended: Callable[[Records], None]) -> Records | None:
        """Run a trial, or wait for those that others run; all trials where the budget is used up."""
        with reaching():
            budget: int = self.study.optuna.user_attrs[BUDGET]
        claim = self.leases.claim(budget)
        if claim is None:
            held = self.leases.held()
            records = self._read()
            if records.below(budget) >= budget and not held:
                return records
            # Who looks less often than twice a lease cannot tell that another worker is gone, and would wait for ever.
            time.sleep(min(WAIT, self.leases.lease_seconds / 4))
            self._clock = Clock()
            return None
        if not self._trial(claim):
            self._clock = Clock()
            return None
        records = self._read()
        self._prune_disk(records)
        ended(records)
        if self._before is not None:
            refuse_failing(records, self._before, self.study.settings.max_failed, self.study.folder)
        return None

    def _read(self) -> Records:
        with reaching():
            return read_records(self.study.optuna, self._reports)

    def _trial(self, claim: Claim) -> bool:
        """Run a trial; whether it ended here, and not with another worker."""
        try:
            return self._ended(claim)
        except (Lost, AlreadyDone):
            return False
        except Away:
            self.leases.abandon(claim)
            raise
        except BaseException as error:  # Ctrl-C too: another worker need not wait for the lease to end
            is_fault = isinstance(error, Exception) and disk_fails(error)
            fault = disk_fault(error, self.study.folder) if is_fault else None
            told = fault is not None or isinstance(error, KeyboardInterrupt | SystemExit | MachineFault)
            # What nobody foresaw may come again with every worker: it counts as a death.
            why = RELEASED if told else f"its worker ended: {type(error).__name__} at {place_of(error)}"
            with suppress(Away, MachineFault):
                self.leases.release(claim, why)
            if fault is not None and not isinstance(error, MachineFault):
                raise fault from error
            raise

    def _ended(self, claim: Claim) -> bool:
        folder = trial_folder(self.study.folder, claim.slot)
        run_dir = folder / f"attempt-{claim.token}"
        clock = self._clock
        process = TrialProcess(
            lambda message: begun(message),
            lambda epoch: tell(epoch),
            stuck_seconds=60 * self.study.settings.stuck_minutes,
            tell=self.tell,
            lease=lambda: beating.alive,
        )
        with Beating(self.leases, claim, process.end) as beating:
            kept = furthest(folder, run_dir, self.tell)
            with clock.timed("sampling"):
                attempt = self.leases.attempt(claim, self._draw, lambda _: kept or Kept())
            if kept is not None:  # in the database is who goes on from them: a worker that is stalled is not
                prune_earlier(run_dir)
            begun, tell = self._tellers(attempt, beating, clock)
            outcome, params, notes = self._run(attempt, folder, run_dir, process, clock)
            if process.was_ended:
                return False
            if outcome.ended.how == "machine":
                raise MachineFault(outcome.ended.detail)
            report = self._report(attempt, params, notes, outcome, clock, run_dir)
            self._clock = Clock()  # what is left to do for this trial is noted with the next one
            self._above = _above_now(run_dir, outcome)
            # From where the fit is run, as in best.yaml: the folder of the study may be renamed, and has other paths on
            # other machines.
            refit = Path("runs", f"{self.study.settings.label}-{claim.slot:05d}")
            keep_result(run_dir, report, config_text(folder, run_dir, refit, outcome.args))
            insist(lambda: self._finish(attempt, report), until=lambda: beating.is_lost)
            publish(self.study.folder, report)
            return True

    def _draw(self, slot: int) -> FrozenTrial:
        return self.sampling.draw(slot, partial(draw, self.study.space))

    def _tellers(
        self, attempt: Attempt, beating: Beating, clock: Clock
    ) -> tuple[Callable[[Started], None], Callable[[Epoch], bool]]:
        """What hears that a training begins, and what stores an epoch and asks the pruner.

        While the database is away the training waits.
        """

        def begun(message: Started) -> None:
            clock.started(message)
            with clock.timed("told"):
                insist(lambda: self.leases.forget(attempt, message.epoch), until=lambda: beating.is_lost)

        def tell(epoch: Epoch) -> bool:
            with clock.timed("told"):
                insist(lambda: self.leases.report(attempt, epoch.number, epoch.value), until=lambda: beating.is_lost)
                return insist(lambda: self.sampling.prunes(attempt), until=lambda: beating.is_lost)

        return begun, tell

    def _run(
        self, attempt: Attempt, folder: Path, run_dir: Path, process: TrialProcess, clock: Clock
    ) -> tuple[Outcome, dict[str, Any], dict[str, Any]]:
        plan = self.study.plan
        options = partial(
            trial_args, self.study.space, attempt.params, self.study.base_args(), training_posts=plan.training_posts
        )
        args, notes = list[str](), dict[str, Any]()  # of a draw that is refused there are none
        ended = _given_up(attempt)
        try:
            args, notes = options(None)
            if ended is None:  # else nothing is asked about its memory: that may be what ends its workers
                args, notes = options(self.bounds)
        except MachineFault:
            raise
        except UserError as error:
            ended = ended or Ended("refused", f"refused: {error}", str(error))
        notes = _without_reasons(notes, batches_of(run_dir))
        fit = process.run if ended is None else lambda _, how=ended: how
        with clock.timed("fits"):
            outcome = run_attempt(args, folder, run_dir, plan.objective, plan.pruned_by, plan.mode, fit, self.tell)
        if ended is not None:  # also where its run had come to its end, and nobody lived to tell
            outcome = replace(outcome, ended=ended)
        return outcome, attempt.params, _as_ran(notes, batches_of(run_dir))

    def _finish(self, attempt: Attempt, report: TrialReport) -> None:
        # Refused where the attempt has ended: by another worker, or by this one, whose result was not answered.
        with reaching(), suppress(UpdateFinishedTrialError, KeyError):
            self.study.storage.set_trial_user_attr(attempt.trial_id, REPORT, report.model_dump(mode="json"))
        state = TrialState[report.state]
        # Of a pruned trial Optuna wants the value that it was pruned at.
        last = attempt.values[max(attempt.values)] if attempt.values else report.value
        several = len(self.study.plan.searched) > 1
        values: dict[TrialState, Any] = {
            TrialState.COMPLETE: list(report.objectives.values()) if several else report.value,
            TrialState.PRUNED: None if several else last,
            TrialState.FAIL: None,
        }
        self.leases.finish(attempt, state, values[state])

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
        state = STATES.get(ended.how, TrialState.FAIL)
        objectives = _objectives(self.study.plan.searched, outcome) if state is TrialState.COMPLETE else {}
        if missing := [name for name, value in objectives.items() if value is None]:
            state, ended = TrialState.FAIL, _without(missing, ended)
        return TrialReport(
            created=datetime.now(UTC),
            study=self.study.settings.label,
            trial=attempt.claim.slot,
            attempts=attempt.index + 1,
            state=cast(EndState, state.name),
            reason="" if state is not TrialState.FAIL else ended.reason,
            detail="" if state is not TrialState.FAIL else ended.detail,
            objective=self.study.plan.objective,
            value=outcome.value,
            objectives={} if state is TrialState.FAIL else cast(dict[str, float], objectives),
            best_epoch=outcome.best_epoch,
            epochs=outcome.epochs,
            stopped_early=bool(training.get("stopped_early")),
            pruned_at=outcome.epochs - 1 if state is TrialState.PRUNED else None,
            metrics={name: value for name, value in outcome.metrics.items() if name.startswith("val_")},
            params=params,
            settings=cast(dict[str, JsonValue], settings(self.study.space, params)),
            notes=notes,
            batches=[halved.options for halved in outcome.halved],
            seconds=TrialSeconds(
                sampling=clock.seconds["sampling"],
                pretraining=clock.seconds["pretraining"],
                start=clock.seconds["start"],
                fits=outcome.seconds,
                storage=clock.storage(),
            ),
            memory_gb=ended.memory_gb,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            run=str(run_dir.relative_to(self.study.folder)),
        )

    def _prune_disk(self, records: Records) -> None:
        used = search_bytes(self.study.folder, self._removed, self._settled) + self._above
        if used > 1.02 * self._peak:  # not every byte more is worth a transaction
            self._peak = used
            with suppress(Away), reaching():
                known = self.study.optuna.user_attrs.get(PEAK, 0)
                if used > known:
                    self.study.optuna.set_user_attr(PEAK, used)
        tidy(self.study, records, self._removed)


class Clock:
    """Seconds of a worker by what was done, since it made its last report or had nothing to do."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.seconds = {"sampling": 0.0, "pretraining": 0.0, "start": 0.0, "fits": 0.0, "told": 0.0}

    def started(self, message: Started) -> None:
        """Note how long the start of a fit took; the last one counts."""
        self.seconds["pretraining"] = message.pretraining
        self.seconds["start"] = message.seconds - message.pretraining

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the time of a block."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[what] += time.monotonic() - began

    def storage(self) -> float:
        """All but the sampler and the fits, with what fits have waited for while an epoch was told."""
        passed = time.monotonic() - self._began
        return max(0.0, passed - self.seconds["sampling"] - self.seconds["fits"] + self.seconds["told"])


def _above_now(run_dir: Path, outcome: Outcome) -> int:
    """Bytes that the checkpoints of a run took above what they take now, while old ones lay beside new ones."""
    most: int = outcome.training.get("checkpoints", {}).get("peak_bytes", 0)
    return max(0, most - CheckpointFolder(run_dir / "checkpoints").bytes())


def _objectives(searched: Sequence[Objective], outcome: Outcome) -> dict[str, float | None]:
    """Values of a trained trial, by the name of the objective."""
    measured = {"peak_memory": outcome.ended.memory_gb, "train_time": outcome.training.get("seconds")}
    main = {searched[0].name: outcome.value}
    found = {**outcome.metrics, **measured, **main}
    return {one.name: found.get(one.name) for one in searched}


def _without(missing: Sequence[str], ended: Ended) -> Ended:
    """The end of a trial that trained, and of which values of objectives are not known."""
    why = "it was killed before its memory was noted" if missing == ["peak_memory"] else "its best epoch has none"
    return replace(ended, reason=f"no value of {', '.join(missing)}", detail=f"no finite {missing[0]}: {why}")


def _as_ran(notes: dict[str, Any], batches: Mapping[str, int]) -> dict[str, Any]:
    """Notes with the batches of a run: those that it was begun with, on whatever machine, or halved.

    Args:
        notes: Of ``trial_args``, here.
        batches: Of ``batches_of``; empty where there is no run.
    """
    return {**notes, **{NOTED[key]: size for key, size in batches.items() if key in NOTED}}


def _without_reasons(notes: dict[str, Any], batches: Mapping[str, int]) -> dict[str, Any]:
    """Notes without what this machine has to say of its memory, where a run was begun with other batches."""
    if _as_ran(notes, batches) == notes:
        return notes
    return {name: note for name, note in notes.items() if name not in OF_MEMORY}


def _given_up(attempt: Attempt) -> Ended | None:
    """How a trial ends that comes no further, whoever works on it; None where it may be tried once more."""
    if attempt.deaths >= MOST_DEATHS:
        last = attempt.earlier.user_attrs.get(LOST, "") if attempt.earlier is not None else ""
        return Ended("killed", f"its worker died {MOST_DEATHS} times", f"it may be what ends them; the last: {last}")
    if attempt.releases >= MOST_RELEASES:
        return Ended(
            "killed",
            f"its worker was told to stop {MOST_RELEASES} times while it came no further",
            "that is too little time for its start and one step of the optimizer; give jobs more: timeout_min",
        )
    return None
