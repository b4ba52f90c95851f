"""Several workers, wherever a launcher places them: started, replaced when they die, ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from redsm5.errors import UserError
from redsm5.hpo.worker_process import REFUSED, Ending

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


Start = Callable[[int], Placed]
"""Number of a worker -> the worker; a ``UserError`` where the launcher cannot place any."""


@dataclass
class _Place:
    number: int
    worker: Placed | None
    """None after a death, until another one is started"""
    ready: float = 0.0
    """When that may be"""


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

    def run(self, ended: Callable[[], int], budget: int) -> None:
        """Start them and see that they run, until so many trials have ended; then end them.

        Args:
            ended: Counts the trials of the study that have ended.
            budget: Of the study.

        Raises:
            UserError: The launcher cannot place them, one ended with a sentence, or too many die.
        """
        before = ended()
        try:
            for number in range(self._number):
                self._places.append(_Place(number, self._start(number)))
            while (now := ended()) < budget:
                for place in self._places:
                    self._look(place, now - before)
                self._sleep(POLL)
        finally:
            self._end([place.worker for place in self._places if place.worker is not None])

    def _look(self, place: _Place, made: int) -> None:
        if place.worker is None:
            if self._clock() >= place.ready:
                try:
                    place.worker = self._start(place.number)
                except UserError as error:  # the launcher may be away for a while
                    self._died(place, f"could not be started: {error}", made)
            return
        how = place.worker.ending()
        if how is None or how.code == 0:
            return
        if how.code == REFUSED:
            raise UserError(how.said)
        self._died(place, how.said, made)

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
