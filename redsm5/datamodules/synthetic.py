"""The file that says of a corpus that it is synthetic: whatever is trained on it must say so too."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from redsm5.atomic import write_text_atomically

MARK_FILE = "synthetic.json"
"""Beside the posts."""


def mark_synthetic(posts: Path) -> None:
    """Say of a posts file, in a file beside it, that nobody wrote these posts.

    Args:
        posts: The file, written.

    Raises:
        UserError: It cannot be written.
    """
    mark = {"made_by": "redsm5 data synth", "sha256_of_posts": _sha256(posts)}
    write_text_atomically(posts.parent / MARK_FILE, json.dumps(mark, indent=2) + "\n")


def is_synthetic(posts: Path) -> bool:
    """Whether a posts file is as it was when it was marked: other posts that were put in its place are not.

    Args:
        posts: The file.
    """
    try:
        mark = json.loads((posts.parent / MARK_FILE).read_text(encoding="utf-8"))
        return bool(mark["sha256_of_posts"] == _sha256(posts))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
