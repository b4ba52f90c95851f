"""What a search shows: a line per trial, whoever ran it, and how far the study is."""

from __future__ import annotations

import math
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from redsm5.hpo.records import Records, best_first
from redsm5.hpo.retention import disk_bytes
from redsm5.hpo.status import summary, trial_line
from redsm5.hpo.storage import Away, reaching
from redsm5.hpo.study import Study

EVERY = 60.0
"""Seconds between two summaries where there is no terminal."""
BETWEEN_DISKS = 20.0
"""Seconds between two looks at the size of the study: a thousand trials have many files."""


class Board:
    """A context manager that shows the trials of a study as they end.

    Args:
        study: The study.
        known: Trials that had ended before; they are not shown.
        works: Whether this process is a worker itself, which has no trial while it shows one that has ended.
    """

    def __init__(self, study: Study, known: Records, *, works: bool) -> None:
        self.study = study
        self._between = int(works)
        self._shown = {report.trial for report in known.ended}
        self._direction = study.plan.direction.name.lower()
        self._said = time.monotonic()
        self._measured, self._disk = -math.inf, 0
        self._budget = study.settings.n_trials
        self._bar = Progress(
            BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"),
            console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=study.settings.n_trials)
        self.update(known)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def tell(self, line: str) -> None:
        """Show a line."""
        if self._bar.disable:
            print(line, flush=True)
        else:
            self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def note(self, line: str) -> None:
        """Show a line that is about the search, not of it: on standard error."""
        if self._bar.disable:
            print(line, file=sys.stderr, flush=True)
        else:
            self.tell(line)

    def update(self, records: Records) -> None:
        """Show what has ended since."""
        new = [report for report in records.ended if report.trial not in self._shown]
        best = best_first(records.ended, self._direction)[:1]
        for report in new:
            self._shown.add(report.trial)
            self.tell(trial_line(report, best[0] if best else None))
        with suppress(Away), reaching():
            self._budget = self.study.budget()  # another terminal may have changed it
        text = self._summary(records)
        self._bar.update(self._task, completed=len(records.ended), total=self._budget, description=text)
        if self._bar.disable and new and time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            self.tell(text)

    def _summary(self, records: Records) -> str:
        if time.monotonic() - self._measured > BETWEEN_DISKS:
            self._measured, self._disk = time.monotonic(), disk_bytes(self.study.folder)
        return summary(records, self._budget, self._direction, self._disk, between=self._between)
