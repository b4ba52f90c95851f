"""What a child process does in tests; a module of its own, so that it imports nothing heavy."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable


def answer(tell: Callable[[str], None], value: int) -> tuple[int, int]:
    tell("thinking")
    return value, os.getpid()


def die(tell: Callable[[str], None], how: Callable[[], None]) -> None:
    tell("dying")
    how()
    time.sleep(60)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
