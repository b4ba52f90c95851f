"""Several workers, wherever a launcher places them: started, replaced when they die, ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from redsm5.errors import UserError
from redsm5.hpo.worker_process import ENDED_IN_ORDER, REFUSED, TRY_AGAIN, Ending

POLL = 2.0
"""Seconds between two looks at the workers and the study."""
DEATHS = 20
"""Workers that may die beyond one for each trial that has ended; then something kills them, and the search gives up."""
LONGEST_PAUSE = 60.0
"""Seconds before a worker is replaced, at the most; they double with every death that no trial makes up for."""
GRACE = 30.0
"""Seconds that workers have to end when they are told to."""


class Placed(Protocol):
    """A worker that a launcher has placed, or that waits for its place."""

    def ending(self) -> Ending | None:
        """How it ended; None while it runs or waits."""

    def interrupt(self) -> None:
        """Have it end as Ctrl-C does: its trial can be taken up again at once."""

    def kill(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Progress:
    """How far a study is.

    Attributes:
        ended: Trials that have ended.
        below: Those of them that are of the budget, which an earlier one may have been larger than.
        budget: Trials in total, as last asked for in whatever terminal.
    """

    ended: int
    below: int
    budget: int

    @property
    def is_done(self) -> bool:
        """Whether all trials of the budget have ended."""
        return self.below >= self.budget


Start = Callable[[int], Placed]
"""Number of a worker -> the worker; a ``UserError`` where the launcher cannot place any."""


@dataclass
class _Place:
    number: int
    worker: Placed | None
    """None after a death, until another one is started"""
    budget: int
    """Of the study when it was started"""
    ready: float = 0.0
    """When another one may be started"""


class Workers:
    """Keeps a number of workers running.

    Args:
        start: Of the launcher.
        number: How many.
        tell: Shows a line.
        clock: Seconds.
        sleep: Waits for some.
    """

    def __init__(
        self,
        start: Start,
        number: int,
        tell: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._start = start
        self._number = number
        self._tell = tell
        self._clock = clock
        self._sleep = sleep
        self._places: list[_Place] = []
        self._deaths = 0

    def run(self, look: Callable[[], Progress]) -> None:
        """Start them and see that they run, until the trials of the budget have ended; then end them.

        Args:
            look: At the study; may raise, which ends the workers.

        Raises:
            UserError: The launcher cannot place them, one ended with a sentence, or too many die.
        """
        now = look()
        before = now.ended
        try:
            for number in range(0 if now.is_done else self._number):
                self._places.append(_Place(number, self._start(number), now.budget))
            while not now.is_done:
                for place in self._places:
                    self._look(place, now.ended - before, now.budget)
                self._sleep(POLL)
                now = look()
        finally:
            self._end([place.worker for place in self._places if place.worker is not None])

    def _look(self, place: _Place, made: int, budget: int) -> None:
        if place.worker is None:
            if self._clock() >= place.ready:
                try:
                    place.worker, place.budget = self._start(place.number), budget
                except UserError as error:  # the launcher may be away for a while
                    self._died(place, f"could not be started: {error}", made)
            return
        how = place.worker.ending()
        if how is None or (how.code == 0 and budget <= place.budget):  # the trials that are left are others'
            return
        if how.code == 0:  # the budget was raised after it had ended
            place.worker = None
        elif how.code == ENDED_IN_ORDER:  # as a job whose time was up: its trial is free, and loses nothing
            self._tell(f"worker {place.number} was told to end; another one takes its place")
            place.worker, place.ready = None, self._clock() + POLL
        elif how.code == REFUSED:
            raise UserError(how.said)
        else:
            self._died(place, f"could not go on: {how.said}" if how.code == TRY_AGAIN else how.said, made)

    def _died(self, place: _Place, how: str, made: int) -> None:
        self._deaths += 1
        unpaid = self._deaths - made
        if unpaid > DEATHS:
            raise UserError(f"{self._deaths} workers have died while {made} trials ended; the last one {how}")
        pause = min(LONGEST_PAUSE, 2.0 ** max(0, unpaid))
        self._tell(f"worker {place.number} {how}; another one takes its place in {pause:.0f} s")
        place.worker, place.ready = None, self._clock() + pause

    def _end(self, workers: Sequence[Placed]) -> None:
        running = [worker for worker in workers if worker.ending() is None]
        for worker in running:
            worker.interrupt()
        until = self._clock() + GRACE
        while (running := [worker for worker in running if worker.ending() is None]) and self._clock() < until:
            self._sleep(0.1)
        for worker in running:
            worker.kill()
