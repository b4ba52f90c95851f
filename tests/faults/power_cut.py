"""What a power cut leaves: nothing that was not flushed. The worst case that a file system is allowed."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path


def lose_unflushed(root: Path, journal: Path) -> int:
    """Undo renamings whose folder was not flushed since; cut files to what of them was flushed.

    Args:
        root: Where files are lost.
        journal: Folder of the notes of ``fault_child.keep_journal``.

    Returns:
        How many things were lost.
    """
    events = [json.loads(line) for line in (journal / "journal").read_text().splitlines()]
    flushed: dict[str, int] = {}
    pending: list[dict[str, str]] = []
    for event in events:
        if event["kind"] == "file":
            flushed[event["path"]] = event["size"]
        elif event["kind"] == "folder":
            pending = [move for move in pending if os.path.dirname(move["target"]) != event["path"]]
        else:
            pending.append(event)
            flushed = {moved(path, event["source"], event["target"]): size for path, size in flushed.items()}
    lost = 0
    for event in reversed(pending):
        if not os.path.exists(event["target"]):
            continue
        os.rename(event["target"], event["source"])
        flushed = {moved(path, event["target"], event["source"]): size for path, size in flushed.items()}
        if event["old"] is not None:
            shutil.copy2(event["old"], event["target"])
            flushed[event["target"]] = os.path.getsize(event["target"])
        lost += 1
    for path in root.rglob("*"):
        if path.is_file() and path.stat().st_size > flushed.get(str(path), 0):
            os.truncate(path, flushed.get(str(path), 0))
            lost += 1
    return lost


def moved(path: str, source: str, target: str) -> str:
    """A path after a file or folder was renamed."""
    inside = path == source or path.startswith(source + os.sep)
    return target + path[len(source) :] if inside else path
