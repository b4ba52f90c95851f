"""All refits, one after another or some at a time, each once: what has ended is not done again."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from redsm5.children import SERVER_GONE, ending, forked
from redsm5.confirm.models import Refit
from redsm5.confirm.refit import GOES_ON, KEPT, LOG, RefitTask, clean_up, make_folder, read_refit, serve
from redsm5.errors import UserError
from redsm5.hpo.batches import batch_options, batches_of, smaller_after
from redsm5.hpo.messages import Ended
from redsm5.hpo.results import disk_fault
from redsm5.hpo.trial import KILLS
from redsm5.hpo.trial_process import oom_kills


@dataclass
class _Running:
    task: RefitTask
    process: BaseProcess
    pipe: Connection
    until: ExitStack
    gpu: str | None
    oom_kills: int


def run_refits(
    tasks: Sequence[RefitTask], *, workers: int, gpus: Sequence[str], tell: Callable[[Refit, bool], None]
) -> list[Refit]:
    """Train what has not been trained; what goes wrong with one is its own failure, and the others are trained.

    One for which memory is not enough begins again with half the batch and twice the accumulation; one that is killed
    goes on, twice. What has failed is tried again by the next call, unless it diverged.

    Args:
        tasks: All refits.
        workers: How many at a time.
        gpus: Names of the GPUs, one for each worker; empty without.
        tell: Is given each result, and whether it is of this run.

    Returns:
        The results, in the order of the tasks.

    Raises:
        UserError: A disk is full or does not work, or the folder of one is held by another process.
    """
    results: dict[str, Refit] = {}
    for task in tasks:
        with _on_disk(task):
            found = read_refit(task)
        if found is not None:
            results[task.folder] = found
            tell(found, False)
    waiting = deque(task for task in tasks if task.folder not in results)
    kills: dict[str, int] = {}
    free: list[str | None] = list(gpus[:workers]) or [None] * workers
    running: list[_Running] = []
    with ExitStack() as all_of_them:
        while True:
            while waiting and free:
                running.append(_started(waiting.popleft(), free.pop(), all_of_them))
            if not running:
                break
            for one in _ended(running):
                how = _how(one)
                one.until.close()
                running.remove(one)
                free.append(one.gpu)
                if (again := _again(one.task, how, kills)) is not None:
                    waiting.appendleft(again)
                    continue
                results[one.task.folder] = result = _result(one.task, how)
                tell(result, True)
    return [results[task.folder] for task in tasks]


def _started(task: RefitTask, gpu: str | None, all_of_them: ExitStack) -> _Running:
    with _on_disk(task):
        begun = make_folder(task)
    if begun is not None and (batches := batches_of(Path(task.folder))):
        # It goes on with those that it was begun with.
        task = replace(task, batches=(*begun.batches, *batch_options(batches)), halvings=begun.halvings)
    until = all_of_them.enter_context(ExitStack())
    before = oom_kills()
    process, pipe = until.enter_context(forked(serve, replace(task, gpu=gpu)))
    return _Running(task, process, pipe, until, gpu, before)


def _ended(running: Sequence[_Running]) -> Iterator[_Running]:
    ready = wait([one.pipe for one in running])
    yield from [one for one in running if one.pipe in ready]


def _how(one: _Running) -> Ended:
    try:
        said: Ended = one.pipe.recv()
        return said
    except (EOFError, ConnectionResetError):
        one.process.join()
    code = one.process.exitcode
    detail = f"its process {ending(code)}; {Path(one.task.folder) / LOG} may say more"
    if oom_kills() > one.oom_kills:
        return Ended("out of memory", detail=detail)
    return Ended("killed" if code is not None and (code < 0 or code == SERVER_GONE) else "crashed", detail=detail)


def _again(task: RefitTask, how: Ended, kills: dict[str, int]) -> RefitTask | None:
    """What is to be tried next where a training did not end; None where it is at its end."""
    folder = Path(task.folder)
    if (smaller := smaller_after(how.how, folder, task.args)) is not None:
        _remove(task)  # another batch is another run
        batches = (*task.batches, *batch_options(smaller.options))
        return replace(task, batches=batches, halvings=task.halvings + 1)
    if how.how == "killed" and kills.get(task.folder, 0) < KILLS:
        kills[task.folder] = kills.get(task.folder, 0) + 1
        return task
    if how.how == "differs" and folder.exists():
        _remove(task)
        return replace(task, batches=())
    return None


def _result(task: RefitTask, how: Ended) -> Refit:
    if how.how == "machine":
        raise UserError(f"{task.name}: {how.detail}; the same command goes on")
    with _on_disk(task):
        found = read_refit(task) if how.how in KEPT else None
        if found is None:
            clean_up(Path(task.folder), goes_on=how.how in GOES_ON)
    return found if found is not None else task.failed(how.detail or how.reason or how.how)


def _remove(task: RefitTask) -> None:
    with _on_disk(task):
        shutil.rmtree(task.folder)


@contextmanager
def _on_disk(task: RefitTask) -> Iterator[None]:
    """What goes wrong with a file in the block is a fault of the disk, and a sentence."""
    try:
        yield
    except OSError as error:
        raise disk_fault(error, Path(task.folder)) from error


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
