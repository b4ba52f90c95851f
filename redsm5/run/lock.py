"""One process at a time in a run's folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redsm5.errors import UserError

LOCK = ".lock"


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be; it goes with the process, however that ends.

    Further ranks of the same run do not ask for it.

    Args:
        folder: Of the run.

    Raises:
        UserError: Another process holds it, or the folder cannot be made.
    """
    if any(int(os.environ.get(rank) or 0) for rank in ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK")):
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"cannot write into run_dir {folder}: {error.strerror}; choose another --run_dir") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process is at work in {folder}; wait for it, or choose another --run_dir"
            ) from None
        yield
    finally:
        os.close(descriptor)
