"""A function in a process of its own: its memory is given back, and its death is a sentence."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

T = TypeVar("T")
Tell = Callable[[str], None]


NVML_CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"
"""With it torch asks the driver whether there is a GPU; asked any other way, a process cannot be forked for its use."""


SERVER_GONE = 255
"""The exit code that Python gives a process whose fork server died: nobody knows how it ended itself."""

TRIES = 50
"""Of starting a process, a tenth of a second apart."""

PRELOAD = ("redsm5.run.uninterrupted", "redsm5.run.warm")
"""What the server imports; it runs no operation of torch, after which no process could be forked."""


class ChildDied(Exception):
    """The process ended without a result; the message is a sentence."""


@contextmanager
def driver_asked() -> Iterator[None]:
    """A block in which torch asks the driver about GPUs, and so does not begin to use one."""
    before = os.environ.get(NVML_CHECK)
    os.environ[NVML_CHECK] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[NVML_CHECK]
        else:
            os.environ[NVML_CHECK] = before


def fork_server() -> ForkServerContext:
    """The running server that processes are forked from; it has imported what takes seconds, and done nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    with driver_asked():
        forkserver.ensure_running()
    return context


def in_child(function: Callable[[Tell], T]) -> T:
    """Call a function in a new process.

    Args:
        function: Can be pickled; is given a function to say what it does next. Called a second time where the server
            that processes are forked from was killed.

    Returns:
        What it returned.

    Raises:
        ChildDied: It was killed, or raised.
    """
    again = True
    while True:
        stage = "its start"
        with forked(_call, function) as (process, ours):
            try:
                while True:
                    kind, value = ours.recv()
                    if kind == "result":
                        result: T = value
                        return result
                    stage = value
            except (EOFError, ConnectionResetError):
                process.join()
                if again and process.exitcode == SERVER_GONE:
                    again = False  # the next process has a new server
                    continue
                raise ChildDied(f"its process {ending(process.exitcode)} in {stage}") from None


@contextmanager
def forked(target: Callable[..., None], *args: Any) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that calls a function with these and a pipe; at the end of the block it is killed.

    It is no daemon, which may have no children, and a fit has those that load its data: ``end_with`` is what sees that
    it does not outlive this process.
    """
    context = fork_server()
    pipe, theirs = context.Pipe()
    process = context.Process(target=target, args=(*args, theirs), daemon=False)
    for _ in range(TRIES - 1):
        try:
            process.start()
            break
        except ConnectionRefusedError:  # the server was killed, and is not yet seen to be gone
            time.sleep(0.1)
            forkserver.ensure_running()
    else:
        process.start()
    theirs.close()
    try:
        yield process, pipe
    finally:
        process.kill()
        process.join()
        pipe.close()


def end_with(pipe: Connection, hear: Callable[[Any], None] = lambda _: None) -> None:
    """In a forked process: end when the one at the other end of the pipe is gone, however it went.

    Args:
        pipe: To it; nothing else may read from it.
        hear: Is given, in a thread of its own, what it sends.
    """

    def listen() -> None:
        try:
            while True:
                hear(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)

    threading.Thread(target=listen, daemon=True).start()


def _call(function: Callable[[Tell], T], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent ends this one
    end_with(pipe)
    pipe.send(("result", function(lambda stage: pipe.send(("stage", stage)))))


def ending(code: int | None) -> str:
    """How a process ended, as the end of a sentence.

    Args:
        code: Its exit code, or the negative number of a signal.
    """
    if code == SERVER_GONE:
        return "ended with the server that it was forked from"
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"was killed ({name}{', most likely for want of memory' if name == 'SIGKILL' else ''})"
    return f"ended with exit code {code}"
