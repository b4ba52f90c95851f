"""Who works on which trial of a study: claims with a lease, repair, fencing, an exact budget.

A *slot* is a trial of the budget; a *claim* is a slot with a token, which grows with every change of hands; an Optuna
trial is an *attempt* at a slot. ``docs/hpo-protocol.md`` says why no hole is left; the order of the steps is its proof.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from redsm5.hpo.attempts import (
    KEPT,
    LOST,
    RELEASED,
    SLOT,
    STEP,
    TOKEN,
    Kept,
    Made,
    again,
    attempts,
    forget_values,
    in_vain,
    is_lost,
)  # fmt: skip
from redsm5.hpo.owner import Owner
from redsm5.hpo.slots import Held, Slots
from redsm5.hpo.storage import reaching

LEASE = "redsm5:lease"
"""System attribute of a study: seconds. A worker with a shorter lease would take live ones for dead."""


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
    """The last one that was lost"""
    index: int
    """How many attempts at the slot came before"""
    deaths: int
    """How many of them ended with their worker, and were not let go, since one came further than those before it"""
    releases: int
    """How many were let go since then"""
    values: dict[int, float]
    """What it has reported, with what it took over, by step"""


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


class Leases:
    """The slots of a study, as one worker sees them. Methods raise ``Away`` when the database does not answer.

    Args:
        storage: Of ``open_storage``.
        study_id: In it.
        lease_seconds: A slot whose owner has not been heard of for so long is another's; the study's first worker says
            it for all.
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
        self.storage, self.study_id, self.clock = storage, study_id, clock
        self.owner = owner or Owner.this_process()
        self._mine: set[tuple[int, int]] = set()
        self._seen: dict[int, tuple[int, int, float]] = {}
        self._read_at = -float("inf")
        self._lock = RLock()  # between the commit of a claim and its note in _mine, nobody observes
        with reaching():
            self.slots = Slots(storage.engine, study_id)
            self.lease_seconds = float(self.slots.once(study_id, LEASE, lease_seconds))

    def claim(self, budget: int) -> Claim | None:
        """Take a slot that nobody has: one that was begun before a new one.

        Args:
            budget: Trials of the study in all.

        Returns:
            None when all have their result or are held.
        """
        with self._lock:
            self.observe()
            asked = self.clock()
            with reaching():
                taken = self.slots.take(budget, self.owner.to_json())
            if taken is None:
                return None
            self._mine.add(taken)
            return Claim(*taken, asked)

    def beat(self, claim: Claim) -> None:
        """Say that the worker lives.

        Raises:
            Lost: It was declared dead.
        """
        with reaching():
            held = self.slots.beat(claim.slot, claim.token)
        if not held:
            raise self._lost(claim)

    def attempt(
        self,
        claim: Claim,
        draw: Callable[[int], FrozenTrial],
        keep: Callable[[FrozenTrial], Kept] = lambda earlier: Kept(),
    ) -> Attempt:
        """Begin, or take up again, the trial of a slot.

        Args:
            claim: Of this worker.
            draw: The slot's number -> a running trial with its parameters, that is in no database; asked for the first
                attempt only.
            keep: The attempt that was lost -> what its checkpoint holds; what was reported up to there is taken over.

        Raises:
            Lost: The slot is another's.
            AlreadyDone: It has its result.
        """
        earlier = None
        with reaching():
            before = self._settle(claim)
            if before:  # not the youngest: a worker that was stalled may have made one later, and left it
                last = max(before, key=lambda made: (made.token, made.trial_id))
                earlier = self.storage.get_trial(last.trial_id)
        if earlier is None:
            kept, template = Kept(), draw(claim.slot)
        else:
            kept = keep(earlier)
            with reaching():
                template = again(self._wrote(before, kept) or earlier, kept.epoch)
        of_attempt = {SLOT: claim.slot, TOKEN: claim.token, KEPT: kept.epoch, STEP: kept.step}
        template.system_attrs = {**template.system_attrs, **of_attempt}
        with reaching():
            trial_id = self.storage.create_new_trial(self.study_id, template)
            # Whoever took the slot before this look saw our attempt when it looked for attempts, or we see its token.
            if not self.slots.beat(claim.slot, claim.token):
                self._lose(trial_id)
                raise self._lost(claim)
            for other in self._attempts(slot=claim.slot):
                # Optuna creates again when the answer to a commit was an error: there may be two.
                if other.trial_id != trial_id and other.state == TrialState.RUNNING and other.token <= claim.token:
                    self._lose(other.trial_id)
        values = dict(template.intermediate_values)
        vain = in_vain(before, kept)
        released = sum(made.released for made in vain)
        return Attempt(
            claim, trial_id, dict(template.params), earlier, len(before), len(vain) - released, released, values
        )

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
        attempt.values[step] = value

    def forget(self, attempt: Attempt, step: int) -> None:
        """Remove what an attempt has reported from a step on: its training began there anew."""
        if any(reported >= step for reported in attempt.values):
            with reaching():
                forget_values(self.storage.engine, attempt.trial_id, step)
            for reported in [reported for reported in attempt.values if reported >= step]:
                del attempt.values[reported]

    def finish(self, attempt: Attempt, state: TrialState, value: float | Sequence[float] | None = None) -> None:
        """Tell the result and let the slot go; again is the same as once.

        Args:
            attempt: That ran.
            state: COMPLETE, PRUNED or FAIL.
            value: Of the first two; of several objectives those of a COMPLETE one.

        Raises:
            Lost: The attempt was ended by another worker, and its result refused.
        """
        claim, trial_id = attempt.claim, attempt.trial_id
        values = [value] if isinstance(value, float | int) else value
        with reaching():
            try:
                self.storage.set_trial_state_values(trial_id, state, values)
            except (UpdateFinishedTrialError, KeyError):
                if not self._told(trial_id, state):
                    raise self._lost(claim) from None
            if state != TrialState.FAIL:
                self.slots.finish(claim.slot)  # nobody can have begun it anew: this attempt would have been ended first
            elif not self.slots.finish(claim.slot, claim.token):
                # A FAIL may have been declared lost just before: then it is no result.
                token, done = self.slots.tokens([claim.slot]).get(claim.slot, (0, False))
                if token != claim.token or not done:
                    raise self._lost(claim)
        self.abandon(claim)

    def release(self, claim: Claim, why: str = RELEASED) -> None:
        """Let a slot go without a result. Its attempt is taken up by another.

        Args:
            claim: Of this worker.
            why: That the worker was told to stop; else its attempt ended with it, and counts among the deaths.
        """
        self.abandon(claim)
        with reaching():
            for made in self._attempts(slot=claim.slot, state=TrialState.RUNNING):
                if made.token == claim.token:
                    self._lose(made.trial_id, why)
            self.slots.free(claim.slot, claim.token)
            self._end_orphans()

    def abandon(self, claim: Claim) -> None:
        """Note that this worker no longer works on a slot that it may hold; the next claim frees it."""
        self._mine.discard((claim.slot, claim.token))  # without the lock: whoever has it may wait for the database

    def observe(self) -> None:
        """Free the slots of workers that are gone, and end their attempts. Call it more often than twice a lease."""
        with self._lock, reaching():
            before = self.clock()
            held = self.slots.held()
            after = self.clock()
            if before - self._read_at > self.lease_seconds / 2:
                self._seen.clear()  # this worker was stalled, or the database away: the others could not beat either
            self._read_at = after
            seen, self._seen = self._seen, {}
            for one in held:
                token, beats, since = seen.get(one.slot, (-1, -1, after))
                if (token, beats) != (one.token, one.beats):
                    since = after
                if before - since >= self.lease_seconds or self._is_gone(one):
                    self.slots.free(one.slot, one.token, one.beats)
                else:
                    self._seen[one.slot] = (one.token, one.beats, since)
            self._end_orphans()

    def counts(self, budget: int) -> Counts:
        """How far the study is."""
        with reaching():
            states = [made.state for made in self._attempts() if made.has_result]
        held = self.held()
        complete, pruned, failed = map(states.count, (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL))
        return Counts(complete, pruned, failed, held, max(0, budget - len(states) - held))

    def _settle(self, claim: Claim) -> list[Made]:
        """End the attempts of former owners; those that were lost, if none has a result."""
        for made in self._attempts(slot=claim.slot):
            if made.token > claim.token:
                raise self._lost(claim)
            if made.state == TrialState.RUNNING:
                self._lose(made.trial_id)
        ended = self._attempts(slot=claim.slot)  # again: one may have told its result before it could be ended
        if any(made.has_result for made in ended):
            self.slots.finish(claim.slot)
            self.abandon(claim)
            raise AlreadyDone
        return ended

    def _wrote(self, before: Sequence[Made], kept: Kept) -> FrozenTrial | None:
        """The attempt that wrote a checkpoint, and has reported what is in it; None where that is not known."""
        of_token = [made.trial_id for made in before if made.token == kept.token]
        return self.storage.get_trial(max(of_token)) if of_token else None

    def _end_orphans(self) -> None:
        """End the running attempts whose token is no longer their slot's: of workers that died at whatever point."""
        running = self._attempts(state=TrialState.RUNNING)
        tokens = self.slots.tokens({made.slot for made in running}) if running else {}  # read later: tokens only grow
        for made in running:
            token, done = tokens.get(made.slot, (0, True))
            if done or made.token < token:
                self._lose(made.trial_id)

    def held(self) -> int:
        """Slots that workers are at, alive or not yet found dead."""
        with reaching():
            return len(self.slots.held())

    def _lose(self, trial_id: int, why: str | None = None) -> None:
        """End an attempt as no result; one that was told in this moment keeps its result."""
        why = why or f"its worker was lost; ended by process {self.owner.pid}"
        with suppress(UpdateFinishedTrialError, KeyError):  # KeyError: the study was deleted
            self.storage.set_trial_user_attr(trial_id, LOST, why)
            self.storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def _lost(self, claim: Claim) -> Lost:
        self.abandon(claim)
        return Lost(f"slot {claim.slot} was taken from this worker")

    def _attempts(self, *, slot: int | None = None, state: TrialState | None = None) -> list[Made]:
        return attempts(self.storage.engine, self.study_id, slot=slot, state=state)

    def _told(self, trial_id: int, state: TrialState) -> bool:
        """Whether a finished trial was finished by its own worker: the answer to a commit may have been an error."""
        with suppress(KeyError):
            trial = self.storage.get_trial(trial_id)
            return trial.state == state and not is_lost(trial)
        return False

    def _is_gone(self, held: Held) -> bool:
        owner = Owner.from_json(held.owner)
        # A claim whose commit was answered by an error, or that was given up, is held by nobody.
        return (held.slot, held.token) not in self._mine if owner == self.owner else owner.is_gone
