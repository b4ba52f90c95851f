"""A trial's process from the side of its worker."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess

from redsm5.children import fork_server
from redsm5.hpo.messages import Ended, Epoch, Started, Task

POLL = 0.5
"""Seconds between two looks at whether the process is to be ended."""


class TrialProcess:
    """Runs fits one after another, each in a process of its own.

    Args:
        on_start: Hears that a training begins.
        on_epoch: Hears of every epoch; says whether to prune.
        stuck_seconds: A fit of which nothing is heard for so long is ended.
    """

    def __init__(
        self, on_start: Callable[[Started], None], on_epoch: Callable[[Epoch], bool], *, stuck_seconds: float
    ) -> None:
        self._on_start = on_start
        self._on_epoch = on_epoch
        self._stuck_seconds = stuck_seconds
        self._end = threading.Event()

    def end(self) -> None:
        """End the fit that runs, from any thread; ``run`` returns ``killed``."""
        self._end.set()

    @property
    def was_ended(self) -> bool:
        """Whether ``end`` was called."""
        return self._end.is_set()

    def run(self, task: Task) -> Ended:
        """Do a fit.

        Returns:
            How it ended; ``killed`` where the process went without a word.
        """
        from redsm5.hpo.child import serve

        context = fork_server()
        pipe, theirs = context.Pipe()
        process = context.Process(target=serve, args=(task, theirs), daemon=True)
        process.start()
        theirs.close()
        heard = time.monotonic()
        try:
            while True:
                if self._end.is_set():
                    return Ended("killed", "ended by its worker")
                if not pipe.poll(POLL):
                    if time.monotonic() - heard > self._stuck_seconds:
                        return Ended("stuck", "nothing was heard of it", seconds=time.monotonic() - task.asked)
                    continue
                message = pipe.recv()
                heard = time.monotonic()
                if isinstance(message, Ended):
                    return message
                if isinstance(message, Started):
                    self._on_start(message)
                    pipe.send(False)
                else:
                    pipe.send(self._on_epoch(message))
                    heard = time.monotonic()
        except (EOFError, ConnectionResetError, BrokenPipeError):
            process.join()
            return Ended("killed", _how(process), seconds=time.monotonic() - task.asked)
        finally:
            process.kill()
            process.join()
            pipe.close()


def _how(process: BaseProcess) -> str:
    code = process.exitcode or 0
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
