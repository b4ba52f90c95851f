"""The beats of a worker while it is at a trial."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from threading import Event, Lock, Thread
from typing import Self

from redsm5.hpo.leases import Claim, Leases, Lost
from redsm5.hpo.messages import Alive

log = logging.getLogger(__name__)


class Beating:
    """Beats for a claim and observes the others, in threads, for as long as the context lasts.

    Args:
        leases: Of this worker.
        claim: Whose lease is renewed.
        on_lost: Called once, from a thread, when the slot is another's or may be: end the trial at once.
        interval: Seconds between beats; None for a sixth of the lease.
    """

    def __init__(
        self, leases: Leases, claim: Claim, on_lost: Callable[[], None], *, interval: float | None = None
    ) -> None:
        self.leases, self.claim, self.on_lost = leases, claim, on_lost
        self.interval = interval or leases.lease_seconds / 6
        self._until = claim.asked + leases.lease_seconds
        self._stop, self._lost, self._once = Event(), Event(), Lock()
        self._threads = [Thread(target=target, daemon=True) for target in (self._beat, self._watch)]

    @property
    def is_lost(self) -> bool:
        """Whether the claim is no longer this worker's."""
        return self._lost.is_set()

    @property
    def alive(self) -> Alive:
        """What the processes of the trial are told: when the lease ends unless a beat succeeds before."""
        return Alive(self._until, self.leases.lease_seconds)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(1.0)  # one that waits for the database does no harm: a late beat finds the slot done

    def _beat(self) -> None:
        pause, failed = self.interval, 0
        while not self._stop.wait(pause):
            sent = self.leases.clock()
            try:
                self.leases.beat(self.claim)
                self._until, pause, failed = sent + self.leases.lease_seconds, self.interval, 0
                self.leases.observe()
            except Lost:
                return self._end("another worker has it, or its trial was ended")
            except Exception as error:  # whatever it is: a beat that fails is tried again, and the lease is the limit
                failed += 1
                pause = min(self.interval, self.interval / 8 * 2 ** min(failed, 3))
                log.warning("a beat of slot %d failed (%s): %s", self.claim.slot, type(error).__name__, error)

    def _watch(self) -> None:
        """A beat may hang, so the end of the lease is watched from elsewhere."""
        was_stopped = False
        while True:
            until = self._until
            if self._stop.wait(max(0.0, until - self.leases.clock())):
                return
            late = self.leases.clock() - until
            if self._until > until:
                continue
            if late > 1 and not was_stopped:
                # This process was stopped, not cut off: a beat can still say whose the slot is.
                was_stopped = True
                if self._stop.wait(min(self.interval, 5.0)) or self._until > until:
                    continue
            return self._end(f"no beat has succeeded for {self.leases.lease_seconds:g} s")

    def _end(self, why: str) -> None:
        with self._once:
            if self._lost.is_set() or self._stop.is_set():
                return
            self._lost.set()
        self._stop.set()
        log.warning("slot %d is given up: %s", self.claim.slot, why)
        self.leases.abandon(self.claim)
        with contextlib.suppress(Exception):
            self.on_lost()
