"""Who works on which trial of a study: claims with a lease, repair, fencing, an exact budget.

A *slot* is a trial of the budget; a *claim* is a slot with a token, which grows with every change of hands; an Optuna
trial is an *attempt* at a slot. ``docs/hpo-protocol.md`` says why no hole is left; the order of the steps is its proof.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Boolean, Column, Integer, MetaData, Row, String, Table, Text, and_, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from redsm5.hpo.owner import Owner
from redsm5.hpo.storage import created_once, reaching

SLOT, TOKEN = "redsm5:slot", "redsm5:token"
"""System attributes of an attempt."""
LOST = "lost"
"""User attribute of an attempt whose worker was lost: its FAIL is no result."""
STUDY = "redsm5:study"
"""System attribute of a study: its key here, since databases give the ids of deleted studies out again."""

SLOTS = Table(
    "redsm5_slots",
    MetaData(),
    Column("study", String(32), primary_key=True),
    Column("slot", Integer, primary_key=True, autoincrement=False),
    Column("token", Integer, nullable=False),
    Column("beats", Integer, nullable=False),
    Column("owner", Text),
    Column("done", Boolean, nullable=False),
)
TRIALS: Table = models.TrialModel.__table__
ATTRS: Table = models.TrialSystemAttributeModel.__table__
USER_ATTRS: Table = models.TrialUserAttributeModel.__table__
STUDY_ATTRS: Table = models.StudySystemAttributeModel.__table__


class Lost(Exception):
    """The slot is another's now, or free: leave without a word."""


class AlreadyDone(Exception):
    """The slot has its result: its worker ended between telling it and letting go."""


@dataclass(frozen=True)
class Claim:
    """A slot that this worker may work on until its lease ends."""

    slot: int
    token: int
    asked: float = field(compare=False)
    """When it was asked for, by the worker's clock: its lease began no earlier"""


@dataclass(frozen=True)
class Attempt:
    """An Optuna trial that runs."""

    claim: Claim
    trial_id: int
    params: dict[str, Any]
    earlier: FrozenTrial | None
    """The lost attempt that it goes on from"""
    index: int
    """How many attempts at the slot came before"""


@dataclass(frozen=True)
class Counts:
    """How far a study is."""

    complete: int
    pruned: int
    failed: int
    held: int
    """Slots that workers are at, alive or not yet found dead"""
    free: int
    """Slots of the budget that nobody has"""

    @property
    def done(self) -> int:
        """Trials that have ended, however they did."""
        return self.complete + self.pruned + self.failed


@dataclass(frozen=True)
class _Trial:
    trial_id: int
    slot: int
    token: int
    state: TrialState
    lost: bool

    @property
    def has_result(self) -> bool:
        return self.state in (TrialState.COMPLETE, TrialState.PRUNED) or (
            self.state == TrialState.FAIL and not self.lost
        )


def is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial is an attempt that ended with its worker: neither result nor failure."""
    return trial.state == TrialState.FAIL and LOST in trial.user_attrs


class Leases:
    """The slots of a study, as one worker sees them. Methods raise ``Away`` when the database does not answer.

    Args:
        storage: Of ``open_storage``.
        study_id: In it.
        lease_seconds: A slot whose owner has not been heard of for so long is another's; the same for all workers.
        owner: The worker; None for one of this process.
        clock: Seconds, that never go back.
    """

    def __init__(
        self,
        storage: RDBStorage,
        study_id: int,
        *,
        lease_seconds: float = 60.0,
        owner: Owner | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.storage, self.study_id, self.lease_seconds, self.clock = storage, study_id, lease_seconds, clock
        self.owner = owner or Owner.this_process()
        self._mine: set[tuple[int, int]] = set()
        self._seen: dict[int, tuple[int, int, float]] = {}
        self._read_at = -float("inf")
        self._lock = RLock()  # between the commit of a claim and its note in _mine, nobody observes
        with reaching():
            created_once(lambda: SLOTS.create(storage.engine, checkfirst=True))
            self._study = self._study_key()

    def claim(self, budget: int) -> Claim | None:
        """Take a slot that nobody has: one that was begun before a new one.

        Args:
            budget: Trials of the study in all.

        Returns:
            None when all have their result or are held.
        """
        with self._lock:
            self.observe()
            while True:
                asked = self.clock()
                with reaching():
                    found = self._taken(budget)
                if found == "none":
                    return None
                if found != "again":
                    claim = Claim(*found, asked)
                    self._mine.add((claim.slot, claim.token))
                    return claim

    def beat(self, claim: Claim) -> None:
        """Say that the worker lives.

        Raises:
            Lost: It was declared dead.
        """
        with reaching(), self.storage.engine.begin() as connection:
            held = connection.execute(self._of(claim).values(beats=SLOTS.c.beats + 1)).rowcount
        if not held:
            raise self._lost(claim)

    def attempt(
        self,
        claim: Claim,
        draw: Callable[[int], FrozenTrial],
        keep: Callable[[FrozenTrial], int] = lambda earlier: -1,
    ) -> Attempt:
        """Begin, or take up again, the trial of a slot.

        Args:
            claim: Of this worker.
            draw: The slot's number -> a running trial with its parameters, that is in no database; asked for the first
                attempt only.
            keep: The attempt that was lost -> the last step that its checkpoint holds, -1 for none; what was reported
                up to there is taken over.

        Raises:
            Lost: The slot is another's.
            AlreadyDone: It has its result.
        """
        with reaching():
            before = self._settle(claim)
            earlier = None
            if before:  # not the youngest: a worker that was stalled may have made one later, and left it
                last = max(before, key=lambda trial: (trial.token, trial.trial_id))
                earlier = self.storage.get_trial(last.trial_id)
        template = draw(claim.slot) if earlier is None else _again(earlier, keep(earlier))
        template.system_attrs = {**template.system_attrs, SLOT: claim.slot, TOKEN: claim.token}
        with reaching():
            trial_id = self.storage.create_new_trial(self.study_id, template)
            # Whoever took the slot before this looked for attempts after that: it has seen this one, or we see its token.
            held = self._holds(claim)
            if not held:
                self._lose(trial_id)
                raise self._lost(claim)
            for other in self._trials(slot=claim.slot):
                # Optuna creates again when the answer to a commit was an error: there may be two.
                if other.trial_id != trial_id and other.state == TrialState.RUNNING and other.token <= claim.token:
                    self._lose(other.trial_id)
        return Attempt(claim, trial_id, dict(template.params), earlier, len(before))

    def report(self, attempt: Attempt, step: int, value: float) -> None:
        """Store a metric of a step; again is the same as once.

        Raises:
            Lost: The attempt was ended by another worker.
        """
        try:
            with reaching():
                self.storage.set_trial_intermediate_value(attempt.trial_id, step, value)
        except (UpdateFinishedTrialError, KeyError):
            raise self._lost(attempt.claim) from None

    def finish(self, attempt: Attempt, state: TrialState, value: float | None = None) -> None:
        """Tell the result and let the slot go; again is the same as once.

        Args:
            attempt: That ran.
            state: COMPLETE, PRUNED or FAIL.
            value: Of the first two.

        Raises:
            Lost: The attempt was ended by another worker, and its result refused.
        """
        claim, trial_id = attempt.claim, attempt.trial_id
        with reaching():
            try:
                self.storage.set_trial_state_values(trial_id, state, None if value is None else [value])
            except (UpdateFinishedTrialError, KeyError):
                if not self._told(trial_id, state):
                    raise self._lost(claim) from None
            if state == TrialState.FAIL:  # a FAIL may have been declared lost just before
                with self.storage.engine.begin() as connection:
                    held = connection.execute(self._of(claim).values(done=True)).rowcount
                if not held and not self._is_done(claim.slot):
                    raise self._lost(claim)
            else:  # whoever has the slot by now cannot have begun it: it would have ended this attempt first
                self._mark_done(claim.slot)
        self._mine.discard((claim.slot, claim.token))

    def release(self, claim: Claim) -> None:
        """Let a slot go without a result: the worker was asked to stop. Its attempt is taken up by another."""
        self.abandon(claim)
        with reaching():
            self._free(claim.slot, claim.token, None)
            self._end_orphans()

    def abandon(self, claim: Claim) -> None:
        """Note that this worker no longer works on a slot that it may hold; the next claim frees it."""
        with self._lock:
            self._mine.discard((claim.slot, claim.token))

    def observe(self) -> None:
        """Free the slots of workers that are gone, and end their attempts. Call it more often than twice a lease."""
        with self._lock, reaching():
            before = self.clock()
            rows = self._held()
            after = self.clock()
            if before - self._read_at > self.lease_seconds / 2:
                self._seen.clear()  # this worker was stalled, or the database away: the others could not beat either
            self._read_at = after
            seen = self._seen
            self._seen = {}
            for row in rows:
                token, beats, since = seen.get(row.slot, (-1, -1, after))
                if (token, beats) != (row.token, row.beats):
                    since = after
                if before - since >= self.lease_seconds or self._is_gone(row):
                    self._free(row.slot, row.token, row.beats)
                else:
                    self._seen[row.slot] = (row.token, row.beats, since)
            self._end_orphans()

    def counts(self, budget: int) -> Counts:
        """How far the study is."""
        with reaching():
            states = [trial.state for trial in self._trials() if trial.has_result]
            with self.storage.engine.begin() as connection:
                open_slots = select(func.count()).where(SLOTS.c.study == self._study, ~SLOTS.c.done)
                held = connection.execute(open_slots.where(SLOTS.c.owner.is_not(None))).scalar_one()
        kinds = [states.count(state) for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)]
        return Counts(*kinds, held=held, free=max(0, budget - len(states) - held))

    def _study_key(self) -> str:
        """Made by the first worker; the database lets only one of them write it."""
        wanted = and_(STUDY_ATTRS.c.study_id == self.study_id, STUDY_ATTRS.c.key == STUDY)
        while True:
            with self.storage.engine.begin() as connection:
                key = connection.execute(select(STUDY_ATTRS.c.value_json).where(wanted)).scalar()
            if key is not None:
                return str(key).strip('"')
            with _unless_taken(), self.storage.engine.begin() as connection:
                new = {"study_id": self.study_id, "key": STUDY, "value_json": f'"{uuid.uuid4().hex}"'}
                connection.execute(insert(STUDY_ATTRS).values(new))

    def _taken(self, budget: int) -> Any:
        """Slot and token; or "none", or "again" when another worker was quicker."""
        ours = SLOTS.c.study == self._study
        with _unless_taken(), self.storage.engine.begin() as connection:
            free = select(SLOTS.c.slot, SLOTS.c.token).where(
                ours, ~SLOTS.c.done, SLOTS.c.owner.is_(None), SLOTS.c.slot < budget
            )
            row = connection.execute(free.order_by(SLOTS.c.slot).limit(1)).first()
            if row is not None:
                taken = update(SLOTS).where(
                    ours, SLOTS.c.slot == row.slot, SLOTS.c.token == row.token, SLOTS.c.owner.is_(None), ~SLOTS.c.done
                )
                owned = taken.values(token=row.token + 1, beats=0, owner=self.owner.to_json())
                return (row.slot, row.token + 1) if connection.execute(owned).rowcount else "again"
            top = connection.execute(select(func.max(SLOTS.c.slot)).where(ours)).scalar()
            slot = 0 if top is None else top + 1
            if slot >= budget:
                return "none"
            new = {"study": self._study, "slot": slot, "token": 1, "beats": 0, "done": False}
            connection.execute(insert(SLOTS).values(**new, owner=self.owner.to_json()))
            return slot, 1
        return "again"

    def _settle(self, claim: Claim) -> list[_Trial]:
        """End the attempts of former owners; those that were lost, if none has a result."""
        for trial in self._trials(slot=claim.slot):
            if trial.token > claim.token:
                raise self._lost(claim)
            if trial.state == TrialState.RUNNING:
                self._lose(trial.trial_id)
        trials = self._trials(slot=claim.slot)  # again: one may have been told in between, and Optuna refused the FAIL
        if any(trial.has_result for trial in trials):
            self._mark_done(claim.slot)
            self._mine.discard((claim.slot, claim.token))
            raise AlreadyDone
        return [trial for trial in trials if trial.state != TrialState.RUNNING]

    def _end_orphans(self) -> None:
        """End the running attempts whose token is no longer their slot's: of workers that died at whatever point."""
        running = self._trials(state=TrialState.RUNNING)
        if not running:
            return
        with self.storage.engine.begin() as connection:  # read after the trials: tokens only grow
            rows = connection.execute(
                select(SLOTS.c.slot, SLOTS.c.token, SLOTS.c.done).where(
                    SLOTS.c.study == self._study, SLOTS.c.slot.in_({trial.slot for trial in running})
                )
            ).all()
        slots = {row.slot: row for row in rows}
        for trial in running:
            slot = slots.get(trial.slot)
            if slot is None or slot.done or trial.token < slot.token:
                self._lose(trial.trial_id)

    def _lose(self, trial_id: int) -> None:
        """End an attempt as no result; one that was told in this moment keeps its result."""
        try:
            self.storage.set_trial_user_attr(trial_id, LOST, f"its worker was lost; ended by process {self.owner.pid}")
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except (UpdateFinishedTrialError, KeyError):  # KeyError: the study was deleted
            pass

    def _lost(self, claim: Claim) -> Lost:
        self.abandon(claim)
        return Lost(f"slot {claim.slot} was taken from this worker")

    def _trials(self, *, slot: int | None = None, state: TrialState | None = None) -> list[_Trial]:
        slots, tokens = ATTRS.alias(), ATTRS.alias()
        query = (
            select(TRIALS.c.trial_id, TRIALS.c.state, slots.c.value_json, tokens.c.value_json, USER_ATTRS.c.key)
            .join(slots, and_(slots.c.trial_id == TRIALS.c.trial_id, slots.c.key == SLOT))
            .join(tokens, and_(tokens.c.trial_id == TRIALS.c.trial_id, tokens.c.key == TOKEN))
            .outerjoin(USER_ATTRS, and_(USER_ATTRS.c.trial_id == TRIALS.c.trial_id, USER_ATTRS.c.key == LOST))
            .where(TRIALS.c.study_id == self.study_id)
        )
        if slot is not None:
            query = query.where(slots.c.value_json == str(slot))
        if state is not None:
            query = query.where(TRIALS.c.state == state)
        with self.storage.engine.begin() as connection:
            rows = connection.execute(query.order_by(TRIALS.c.trial_id)).all()
        return [_Trial(row[0], int(row[2]), int(row[3]), row[1], row[4] is not None) for row in rows]

    def _told(self, trial_id: int, state: TrialState) -> bool:
        """Whether a finished trial was finished by its own worker: the answer to a commit may have been an error."""
        try:
            trial = self.storage.get_trial(trial_id)
        except KeyError:
            return False
        return trial.state == state and not is_lost(trial)

    def _held(self) -> list[Row[Any]]:
        with self.storage.engine.begin() as connection:
            held = select(SLOTS.c.slot, SLOTS.c.token, SLOTS.c.beats, SLOTS.c.owner)
            rows = connection.execute(held.where(SLOTS.c.study == self._study, ~SLOTS.c.done, SLOTS.c.owner.is_not(None)))
            return list(rows)

    def _is_gone(self, row: Row[Any]) -> bool:
        owner = Owner.from_json(row.owner)
        # A claim whose commit was answered by an error, or that was given up, is held by nobody.
        return (row.slot, row.token) not in self._mine if owner == self.owner else owner.is_gone

    def _of(self, claim: Claim) -> Any:
        at = and_(SLOTS.c.study == self._study, SLOTS.c.slot == claim.slot)
        return update(SLOTS).where(at, SLOTS.c.token == claim.token, ~SLOTS.c.done)

    def _holds(self, claim: Claim) -> bool:
        with self.storage.engine.begin() as connection:
            at = and_(SLOTS.c.study == self._study, SLOTS.c.slot == claim.slot)
            query = select(SLOTS.c.slot).where(at, SLOTS.c.token == claim.token, ~SLOTS.c.done)
            return connection.execute(query).first() is not None

    def _is_done(self, slot: int) -> bool:
        with self.storage.engine.begin() as connection:
            query = select(SLOTS.c.done).where(SLOTS.c.study == self._study, SLOTS.c.slot == slot)
            return bool(connection.execute(query).scalar())

    def _mark_done(self, slot: int) -> None:
        with self.storage.engine.begin() as connection:
            at = and_(SLOTS.c.study == self._study, SLOTS.c.slot == slot)
            connection.execute(update(SLOTS).where(at).values(done=True))

    def _free(self, slot: int, token: int, beats: int | None) -> None:
        freed = update(SLOTS).where(
            SLOTS.c.study == self._study, SLOTS.c.slot == slot, SLOTS.c.token == token, ~SLOTS.c.done
        )
        if beats is not None:  # it has beaten meanwhile: it lives
            freed = freed.where(SLOTS.c.beats == beats)
        with self.storage.engine.begin() as connection:
            connection.execute(freed.values(token=token + 1, beats=0, owner=None))


def _again(earlier: FrozenTrial, keep: int) -> FrozenTrial:
    kept = {step: value for step, value in earlier.intermediate_values.items() if step <= keep}
    return create_trial(
        state=TrialState.RUNNING,
        params=earlier.params,
        distributions=earlier.distributions,
        user_attrs={key: value for key, value in earlier.user_attrs.items() if key != LOST},
        system_attrs=earlier.system_attrs,
        intermediate_values=kept,
    )


@contextmanager
def _unless_taken() -> Iterator[None]:
    try:
        yield
    except IntegrityError:  # another worker wrote that row first
        pass
