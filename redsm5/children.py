"""A function in a process of its own: its memory is given back, and its death is a sentence."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from typing import TypeVar

T = TypeVar("T")
Tell = Callable[[str], None]


NVML_CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"
"""With it torch asks the driver whether there is a GPU; asked any other way, a process cannot be forked for its use."""


PRELOAD = ("redsm5.run.fit",)
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
        function: Can be pickled; is given a function to say what it does next.

    Returns:
        What it returned.

    Raises:
        ChildDied: It was killed, or raised.
    """
    context = fork_server()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_call, args=(function, theirs), daemon=True)
    process.start()
    theirs.close()
    stage = "its start"
    try:
        while True:
            kind, value = ours.recv()
            if kind == "result":
                result: T = value
                return result
            stage = value
    except EOFError:
        process.join()
        raise ChildDied(f"its process {ending(process.exitcode)} in {stage}") from None
    finally:
        process.kill()
        process.join()
        ours.close()


def _call(function: Callable[[Tell], T], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent ends this one
    pipe.send(("result", function(lambda stage: pipe.send(("stage", stage)))))


def ending(code: int | None) -> str:
    """How a process ended, as the end of a sentence.

    Args:
        code: Its exit code, or the negative number of a signal.
    """
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"was killed ({name}{', most likely for want of memory' if name == 'SIGKILL' else ''})"
    return f"ended with exit code {code}"
