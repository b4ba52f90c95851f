"""Ctrl-C while libraries are imported: a KeyboardInterrupt there is swallowed by some, and breaks others for good.

SIGTERM as Ctrl-C, for commands that have to end in order: schedulers and service managers send it.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import CodeType, FrameType
from typing import Any

IMPORT_FRAMES = "<frozen importlib."
"""What the file of a frame of the import system is called."""
SENTENCE = b"redsm5: interrupted while its libraries were loaded; run the same command again\n"


class Terminated(KeyboardInterrupt):
    """SIGTERM, where it is to end a command as Ctrl-C does."""


def imports_end_at_once() -> AbstractContextManager[None]:
    """A block in which Ctrl-C during an import ends the process with exit code 130, and is as ever elsewhere.

    An exception cannot do it: C extensions that are half initialised turn it into another one, callbacks of the import
    locks drop it. Whoever has set a handler of their own keeps it.
    """
    return _raised(signal.SIGINT, signal.default_int_handler, KeyboardInterrupt)


def sigterm_as_ctrl_c() -> AbstractContextManager[None]:
    """A block in which SIGTERM raises ``Terminated``, or during an import ends the process with exit code 143.

    Whoever has set a handler of their own keeps it.
    """
    return _raised(signal.SIGTERM, signal.SIG_DFL, Terminated)


@contextmanager
def _raised(signalled: signal.Signals, usual: Any, error: type[KeyboardInterrupt]) -> Iterator[None]:
    """A block in which a signal raises an error, but during an import ends the process, if its handler is the usual."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signalled) is not usual:
        yield
        return
    outermost = sys._getframe(2).f_code  # of the function that this block is in

    def handle(number: int, frame: FrameType | None) -> None:
        if _imports(frame, outermost):
            os.write(2, SENTENCE)
            os._exit(128 + number)
        raise error

    signal.signal(signalled, handle)
    try:
        yield
    finally:
        if signal.getsignal(signalled) is handle:
            signal.signal(signalled, usual)


def _imports(frame: FrameType | None, outermost: CodeType) -> bool:
    """Whether an import is under way, begun below a function: what it is imported by does not count."""
    while frame is not None and frame.f_code is not outermost:
        if frame.f_code.co_filename.startswith(IMPORT_FRAMES):
            return True
        frame = frame.f_back
    return False
