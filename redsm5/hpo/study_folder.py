"""Which study a folder belongs to: the trials of two would be taken for one another's."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from redsm5.atomic import write_text_atomically
from redsm5.errors import UserError
from redsm5.hpo.retention import TRIALS

KEY = ".study"
"""In a study's folder: the random key that the study has in its database, whatever both are called."""


def refuse_trials(folder: Path) -> None:
    """See that a new study may use a folder.

    Raises:
        UserError: It holds trials, or belongs to a study.
    """
    trials = folder / TRIALS
    if (folder / KEY).exists() or (trials.is_dir() and any(trials.iterdir())):
        raise UserError(
            f"{folder} holds the trials of another study; name that one as it was begun (--study, --storage), choose "
            "another folder with --study-dir, or remove this one"
        )


def bind(folder: Path, key: str) -> None:
    """Note, or see, that a folder belongs to a study.

    Args:
        folder: Of the study, on this machine.
        key: Of the study in its database.

    Raises:
        UserError: It belongs to another one.
    """
    if key_of(folder) is None:
        try:
            refuse_trials(folder)
        except UserError:
            if key_of(folder) is None:
                raise
        else:
            _note(folder, key)
    if key_of(folder) != key:  # read again: another command may have begun the same study, or another one, meanwhile
        refuse_trials(folder)


def _note(folder: Path, key: str) -> None:
    """Write the key whole, unless there is one: of two commands at once the first one has the folder."""
    aside = folder / f"{KEY}.{secrets.token_hex(4)}.tmp"
    try:
        write_text_atomically(aside, f"{key}\n")
        with suppress(FileExistsError):
            os.link(aside, folder / KEY)
    except OSError:  # a file system without links
        write_text_atomically(folder / KEY, f"{key}\n")
    finally:
        aside.unlink(missing_ok=True)


def refuse_another(folder: Path, key: str | None) -> None:
    """See that a folder is not that of another study than the one that is looked at.

    Args:
        folder: Of a study, or of none.
        key: Of the study in its database; None before its first worker.

    Raises:
        UserError: It is.
    """
    if key is not None and key_of(folder) not in (None, key):
        raise UserError(
            f"{folder} belongs to another study than the database names; name that one as it was begun (--study, "
            "--storage), or give the folder of this one"
        )


def key_of(folder: Path) -> str | None:
    """Of the study that a folder belongs to; None where that is not noted."""
    try:
        return (folder / KEY).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
