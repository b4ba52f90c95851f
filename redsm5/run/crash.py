"""Where the traceback of a crash goes."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from redsm5.logs import READABLE
from redsm5.masking import posts_are
from redsm5.tracebacks import traceback_of

_folder: Path | None = None


def crash_logs_go_to(folder: Path, posts: Callable[[], Iterable[str]] = tuple) -> None:
    """From now on a crash writes its traceback into ``run.log`` of this folder.

    Args:
        folder: Of the run.
        posts: Gives the texts that must not stand there.
    """
    global _folder
    _folder = folder
    posts_are(posts)


def write_crash_log() -> Path:
    """Append the traceback of the exception in hand to the log file; returns the file."""
    if _folder is not None:
        path = _folder / READABLE
    else:
        path = Path(tempfile.gettempdir()) / f"redsm5-crash-{os.getpid()}.log"
    error = sys.exc_info()[1]
    assert error is not None
    with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"--- {datetime.now(UTC).isoformat(timespec='seconds')}\n{traceback_of(error)}\n")
    return path
