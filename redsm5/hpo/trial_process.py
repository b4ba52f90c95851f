"""A trial's process from the side of its worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from redsm5.children import SERVER_GONE, forked
from redsm5.hpo.messages import (
    ABANDONED,
    NO_MEMORY,
    STUCK,
    WITH_SERVER,
    WORKER_STOPPED,
    Alive,
    Ended,
    Epoch,
    Stage,
    Started,
    Task,
)

POLL = 0.5
"""Seconds between two looks at whether the process is to be ended."""
SAVING = 20.0
"""Seconds that a fit has to save where it stands when its worker is told to end; Slurm kills after 30."""
SAVE = signal.SIGUSR1
"""Asks for that. None that Ctrl-C or Slurm sends to all: those that hear both go by the first, and end by a second of a
kind. A fit that does not train yet ends by it at once."""
WORDS = 2.0
"""Seconds at most between two words that the worker lives."""
VMSTAT = Path("/proc/vmstat")
BY_KERNEL = "killed by SIGKILL"
"""How a process ends that the kernel kills for want of memory."""


class TrialProcess:
    """Runs fits one after another, each in a process of its own.

    Args:
        on_start: Hears that a training begins.
        on_epoch: Hears of every epoch; says whether to prune.
        stuck_seconds: A fit of which nothing is heard for so long is ended.
        tell: Shows a line.
        lease: Says when the lease of this worker ends; None where it holds none.
    """

    def __init__(
        self,
        on_start: Callable[[Started], None],
        on_epoch: Callable[[Epoch], bool],
        *,
        stuck_seconds: float,
        tell: Callable[[str], None] = lambda _: None,
        lease: Callable[[], Alive | None] = lambda: None,
    ) -> None:
        self._on_start = on_start
        self._on_epoch = on_epoch
        self._stuck_seconds = stuck_seconds
        self._tell = tell
        self._lease = lease
        self._sending = threading.Lock()
        self._end = threading.Event()
        self._asked: Started | Epoch | None = None
        self._oom_kills = 0

    def end(self) -> None:
        """End the fit that runs, from any thread; ``run`` returns ``killed``."""
        self._end.set()

    @property
    def was_ended(self) -> bool:
        """Whether ``end`` was called."""
        return self._end.is_set()

    def run(self, task: Task) -> Ended:
        """Do a fit.

        Ctrl-C, or what else tells this worker to end, is raised again when the fit has saved where it stands.

        Returns:
            How it ended; ``killed`` where the process went without a word, ``out of memory`` where the kernel killed
            one for want of memory since it was last heard of.
        """
        ended = self._run(task)
        if ended.how == "killed" and ended.reason == BY_KERNEL and oom_kills() > self._oom_kills:
            return replace(ended, how="out of memory", reason="out of memory")
        return ended

    def _run(self, task: Task) -> Ended:
        from redsm5.hpo.child import serve

        self._oom_kills = oom_kills()
        with forked(serve, replace(task, alive=self._lease())) as (process, pipe), self._saying_so(pipe):
            try:
                return self._talk(process, pipe, task)
            except (KeyboardInterrupt, SystemExit):
                self._let_save(process, pipe)
                raise

    def _talk(self, process: BaseProcess, pipe: Connection, task: Task) -> Ended:
        """Hear the fit out, and answer it."""
        heard, made = time.monotonic(), 0.0
        try:
            while True:
                if self._end.is_set():
                    return Ended("killed", "ended by its worker")
                if not pipe.poll(POLL):
                    if time.monotonic() - heard > self._stuck_seconds:
                        return Ended("stuck", "nothing was heard of it", seconds=time.monotonic() - task.asked)
                    continue
                message = pipe.recv()
                if isinstance(message, Ended):
                    return message
                if isinstance(message, Stage):
                    began = time.monotonic()
                    self._send(pipe, self._make(message, task.log))
                    made += time.monotonic() - began
                else:
                    self._answer(pipe, replace(message, pretraining=made) if isinstance(message, Started) else message)
                heard, self._oom_kills = time.monotonic(), oom_kills()
        except (EOFError, ConnectionResetError, BrokenPipeError):
            process.join()
            return Ended("killed", _how(process), seconds=time.monotonic() - task.asked)

    def _answer(self, pipe: Connection, message: Started | Epoch) -> None:
        self._asked = message
        if isinstance(message, Started):
            self._on_start(message)
            self._send(pipe, False)
        else:
            self._send(pipe, self._on_epoch(message))
        self._asked = None

    def _send(self, pipe: Connection, said: int | Alive) -> None:
        with self._sending:
            pipe.send(said)

    @contextmanager
    def _saying_so(self, pipe: Connection) -> Iterator[None]:
        """Say to a process, in a thread, that this worker lives: one that does not hear so saves and ends."""
        over = threading.Event()

        def say() -> None:
            with suppress(OSError):  # it has ended
                while (alive := self._lease()) is not None and not over.wait(min(alive.lease / 12, WORDS)):
                    self._send(pipe, alive)

        thread = threading.Thread(target=say, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(1.0)  # it may wait for a process that hears nothing any more, and is killed next

    def _let_save(self, process: BaseProcess, pipe: Connection) -> None:
        """Have the fit save where it stands; what it asks meanwhile is answered, or it would wait."""
        self._tell(f"the trial saves where it stands, within {SAVING:.0f} s")
        until = time.monotonic() + SAVING
        with suppress(Exception):  # whatever it is: the worker ends, and with it the fit
            _ask_to_save(process)
            if self._asked is not None:
                self._answer(pipe, self._asked)
            while (left := until - time.monotonic()) > 0 and not self._end.is_set():
                if pipe.poll(min(left, POLL)):
                    message = pipe.recv()
                    if isinstance(message, Ended | Stage):
                        return
                    self._answer(pipe, message)

    def _make(self, stage: Stage, log: str) -> int:
        """Make a stage of pretraining in a process of its own; its exit code, as a shell has it."""
        from redsm5.hpo.child import serve_stage

        stage = replace(stage, alive=self._lease())
        with forked(serve_stage, stage, log) as (process, pipe), self._saying_so(pipe):
            said, heard, killed = 0, time.monotonic(), oom_kills()
            try:
                while not pipe.poll(POLL):
                    if self._end.is_set():
                        return 128 + signal.SIGKILL
                    if (size := _size(log)) != said:  # it says how far it is, and may take many hours
                        said, heard, killed = size, time.monotonic(), oom_kills()
                    if time.monotonic() - heard > self._stuck_seconds:
                        return STUCK
            except (KeyboardInterrupt, SystemExit):
                _ask_to_save(process)
                pipe.poll(SAVING)
                raise
            return code_of_stage(process, pipe, killed)


def code_of_stage(process: BaseProcess, pipe: Connection, killed: int) -> int:
    """Wait for a process of ``serve_stage``.

    Args:
        process: It.
        pipe: To it.
        killed: ``oom_kills`` when it was last heard of.

    Returns:
        Its exit code, as a shell has it; ``NO_MEMORY`` where the kernel has killed it for want of memory.
    """
    try:
        return int(pipe.recv())
    except (EOFError, ConnectionResetError):
        process.join()
        code = process.exitcode or 0
        if code == -signal.SIGKILL and oom_kills() > killed:
            return NO_MEMORY
        return code if code >= 0 else 128 - code


def _ask_to_save(process: BaseProcess) -> None:
    if process.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, SAVE)


def _size(log: str) -> int:
    path = Path(log)
    return path.stat().st_size if path.exists() else 0


def _how(process: BaseProcess) -> str:
    code = process.exitcode or 0
    if code == SERVER_GONE:
        return WITH_SERVER
    if code == ABANDONED:
        return WORKER_STOPPED
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def oom_kills() -> int:
    """Processes that the kernel has killed for want of memory since the system was started; 0 where it does not say."""
    try:
        lines = VMSTAT.read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)
