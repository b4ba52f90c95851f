"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO

from redsm5.errors import UserError


@contextmanager
def atomic_file(path: str | Path, *, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A file to write; when the block ends it replaces ``path``, and where the block raises, ``path`` stays as it was.

    A temporary file in the same folder is flushed to disk and renamed, then the folder is flushed: a reader, or a
    power cut, sees the old file or the new one.

    Args:
        path: The file; its folder must exist.
        mode: Its permission bits, from the start.

    Raises:
        OSError: It could not be written.
    """
    target = Path(path)
    descriptor, aside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise
    sync(target.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """A block that Ctrl-C and SIGTERM do not cut: they are handled when it ends. Only the main thread gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda n, frame: came.append((n, frame))) for number in numbers}
    try:
        yield
    finally:
        for caught, handler in before.items():
            signal.signal(caught, handler)
        for number, frame in came:
            handler = before[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)
            elif handler == signal.SIG_DFL:  # SIGTERM as the system has it: the process ends
                os.kill(os.getpid(), number)


def write_text_atomically(path: str | Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file by UTF-8 text, as ``atomic_file`` does.

    Raises:
        UserError: It cannot be written.
    """
    try:
        with atomic_file(path, mode=mode) as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        raise _unwritable(path, error) from error


def refuse_unwritable(path: str | Path) -> None:
    """Say before long work that a file could not be written after it.

    Raises:
        UserError: It is a folder, or its folder is not there or takes no files.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: str | Path, error: OSError) -> UserError:
    return UserError(f"cannot write {path}: {error.strerror}; check its folder: there, writable, with room")
