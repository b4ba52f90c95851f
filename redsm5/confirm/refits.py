"""All refits, one after another or some at a time, each once: what has ended is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from redsm5.children import ending, forked
from redsm5.confirm.models import Refit
from redsm5.confirm.refit import LOG, RefitTask, read_refit, serve
from redsm5.errors import UserError


@dataclass
class _Running:
    task: RefitTask
    process: BaseProcess
    pipe: Connection
    until: ExitStack
    gpu: str | None


def run_refits(
    tasks: Sequence[RefitTask], *, workers: int, gpus: Sequence[str], tell: Callable[[Refit, bool], None]
) -> list[Refit]:
    """Train what has not been trained.

    Args:
        tasks: All refits.
        workers: How many at a time.
        gpus: Names of the GPUs, one for each worker; empty without.
        tell: Is given each result, and whether it is of this run.

    Returns:
        The results, in the order of the tasks.

    Raises:
        UserError: One was refused, crashed or was killed; the others that ran at that time go on by the next call.
    """
    results: dict[str, Refit] = {}
    for task in tasks:
        if (found := read_refit(Path(task.folder))) is not None:
            results[task.folder] = found
            tell(found, False)
    waiting = iter([task for task in tasks if task.folder not in results])
    free: list[str | None] = list(gpus[:workers]) or [None] * workers
    running: list[_Running] = []
    with ExitStack() as all_of_them:
        while True:
            for task in islice(waiting, len(free)):
                gpu = free.pop()
                until = all_of_them.enter_context(ExitStack())
                process, pipe = until.enter_context(forked(serve, replace(task, gpu=gpu)))
                running.append(_Running(task, process, pipe, until, gpu))
            if not running:
                break
            for one in _ended(running):
                result = _result(one)
                one.until.close()
                running.remove(one)
                free.append(one.gpu)
                results[one.task.folder] = result
                tell(result, True)
    return [results[task.folder] for task in tasks]


def _ended(running: Sequence[_Running]) -> Iterator[_Running]:
    ready = wait([one.pipe for one in running])
    yield from [one for one in running if one.pipe in ready]


def _result(one: _Running) -> Refit:
    try:
        said: str | None = one.pipe.recv()
    except (EOFError, ConnectionResetError):
        one.process.join()
        said = f"its process {ending(one.process.exitcode)}; {Path(one.task.folder) / LOG} may say more"
    found = read_refit(Path(one.task.folder))
    if said is not None or found is None:
        raise UserError(f"{one.task.name}: {said}; the same command goes on")
    return found


class Clock:
    """How long the rest will take, by the refits of this run."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = self.reused = 0
        self._started = time.monotonic()

    def count(self, new: bool) -> None:
        """One has ended, or had ended before."""
        self.done += 1
        self.reused += not new

    @property
    def left(self) -> float | None:
        """Seconds; None before the first one of this run has ended."""
        ran = self.done - self.reused
        if not ran:
            return None
        return (time.monotonic() - self._started) / ran * (self.total - self.done)
