"""Room on the disk."""

from __future__ import annotations

import errno
import os
import shutil
from itertools import islice
from pathlib import Path
from typing import Literal

from redsm5.errors import MachineFault

SCARCE = 0.1
"""Below this share of free space a disk is nearly full."""
MARGIN = 64 * 2**20
"""Bytes that stay free: for metrics, logs and the report."""
MOST_FILES = 20_000
"""Files that are looked at for the largest ones."""

FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.ESTALE)
"""What a disk says that is full, or that does not work any more."""

Room = Literal["plenty", "scarce", "none"]


def room(free: int, total: int, need: int, *, margin: int = MARGIN) -> Room:
    """How a disk would be after a file was written.

    Args:
        free: Bytes free.
        total: Bytes of the disk.
        need: Bytes to be written.
        margin: Bytes that stay free.
    """
    left = free - need
    return "none" if left < margin else "scarce" if left < SCARCE * total else "plenty"


def room_at(folder: Path, need: int, *, margin: int = MARGIN) -> Room:
    """The same for the disk that a folder lies on."""
    usage = shutil.disk_usage(folder)
    return room(usage.free, usage.total, need, margin=margin)


def full_disk(folder: Path, need: int) -> MachineFault:
    """The sentence about a disk that has no room: use, need, the largest files, and what to do.

    Args:
        folder: Of the run.
        need: Bytes that were to be written.
    """
    usage = shutil.disk_usage(folder)
    largest = ", ".join(f"{path} ({size_words(size)})" for size, path in _largest(folder.parent))
    return MachineFault(
        f"no room for a checkpoint of {size_words(need)}: {size_words(usage.free)} of {size_words(usage.total)} are "
        f"free on the disk of {folder}; the largest files beside it: {largest or 'none'}; see "
        f"redsm5 clean {folder.parent}, or set --checkpoint.keep_last 0, then run the same command again"
    )


def disk_fails(error: BaseException) -> bool:
    """Whether what went wrong is that a disk, or a quota on it, has no room left, or that it does not work.

    safetensors and torch write in languages of their own, whose errors have no number but the system's words.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in FAULTS:
            return True
        if any(os.strerror(number) in str(seen) for number in FAULTS):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def size_words(count: float) -> str:
    """A size for people: ``3.2 GB``; powers of 1,000."""
    for unit in ("B", "kB", "MB"):
        if count < 999.5:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _largest(folder: Path, count: int = 3) -> list[tuple[int, Path]]:
    paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names)
    sizes = []
    for path in islice(paths, MOST_FILES):
        try:
            sizes.append((path.lstat().st_size, path))
        except OSError:  # it went meanwhile
            continue
    return sorted(sizes, reverse=True)[:count]
