"""Hashes of a finished run's files, so that a flipped bit, or an edit, does not pass for what was trained."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from redsm5.atomic import write_text_atomically
from redsm5.errors import UserError
from redsm5.run.folder import RunFolder

EDITABLE = "thresholds.json"
"""May be edited: it is read as it is, and said to be another."""


def seal(folder: RunFolder, *paths: Path) -> None:
    """Write down what files of a run are now, beside those that were written down before.

    Args:
        folder: The run.
        paths: Files in it; those that are not there are left out.
    """
    hashes = _read(folder) | {path.name: _hash(path) for path in paths if path.exists()}
    write_text_atomically(folder.seals, json.dumps(hashes, indent=2) + "\n")


def check_seals(folder: RunFolder) -> None:
    """See that the files of a finished run are what they were; a run without seals passes.

    Raises:
        UserError: One is missing or another; names it.
    """
    for name, expected in _read(folder).items():
        path = folder.path / name
        if path.exists() and _hash(path) == expected:
            continue
        if name == EDITABLE and path.exists():
            print(f"{path} is not as the fit has written it; its thresholds are used as they are", file=sys.stderr)
            continue
        what = "is not as the run has written it" if path.exists() else "is missing"
        raise UserError(f"{path} {what}; copy the run again, or fit it again with --fresh")


def _read(folder: RunFolder) -> dict[str, str]:
    try:
        found = json.loads(folder.seals.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError
        return {str(name): str(value) for name, value in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{folder.seals} is damaged; copy the run again, or fit it again with --fresh") from error


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
