"""Where the traceback of a crash goes."""

from __future__ import annotations

import os
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

_folder: Path | None = None


def crash_logs_go_to(folder: Path) -> None:
    """From now on a crash writes its traceback into ``run.log`` of this folder."""
    global _folder
    _folder = folder


def write_crash_log() -> Path:
    """Append the traceback of the exception in hand to the log file; returns the file."""
    if _folder is not None:
        path = _folder / "run.log"
    else:
        path = Path(tempfile.gettempdir()) / f"redsm5-crash-{os.getpid()}.log"
    with path.open("a", encoding="utf-8") as log:
        log.write(f"--- {datetime.now(UTC).isoformat(timespec='seconds')}\n{traceback.format_exc()}\n")
    return path
