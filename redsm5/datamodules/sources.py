"""Where a corpus is: two files, a folder that holds them, or a dataset on the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from redsm5.datamodules.criteria import CRITERIA_SUFFIXES
from redsm5.datamodules.rows import ANNOTATION_COLUMNS, POST_COLUMNS
from redsm5.datamodules.synthetic import is_synthetic
from redsm5.datamodules.tables import TABLE_SUFFIXES, Table, read_table
from redsm5.errors import UserError

_DATASET_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Source:
    """The tables of a corpus, the criteria file beside them (or None), where they came from; whether they are ours."""

    posts: Table
    annotations: Table
    criteria: str | None
    name: str
    synthetic: bool = False


def open_source(path: str | None, posts: str | None, annotations: str | None, revision: str | None) -> Source:
    """Read the tables of a corpus.

    Args:
        path: A folder or a dataset id; None where ``posts`` and ``annotations`` are files.
        posts: The posts file; with a dataset id, the config and split of the posts (``config/split``, or one of them).
        annotations: Likewise.
        revision: Of the dataset.

    Raises:
        UserError: The arguments do not go together, or a table cannot be read.
    """
    if path is None:
        if posts is None or annotations is None:
            missing = "the posts" if posts is None else "the annotations"
            raise UserError(
                f"give a folder, a dataset id, or both a posts and an annotations file ({missing} are missing)"
            )
        _refuse_revision(revision, "files")
        return _from_files(posts, annotations, None, f"{posts}, {annotations}")
    if Path(path).is_dir():
        if posts is not None or annotations is not None:
            raise UserError(f"{path} is a folder: give either it, or a posts and an annotations file")
        _refuse_revision(revision, "a folder")
        folder = Path(path)
        return _from_files(*find_files([entry for entry in _entries(folder) if entry.is_file()], path), path)
    if Path(path).exists():
        raise UserError(f"{path} is a file: give the folder that holds the posts and the annotations, or both files")
    if not _DATASET_ID.fullmatch(path) or Path(path).suffix.lower() in TABLE_SUFFIXES:
        raise UserError(f"{path}: there is no such folder (a dataset on the hub is written owner/name)")
    from redsm5.datamodules.hub_dataset import open_dataset  # The hub client is a second's import.

    return open_dataset(path, revision, posts, annotations)


def find_files(entries: list[Path], where: str) -> tuple[str, str, str | None]:
    """The posts, the annotations and the criteria file among some files, by their names.

    Args:
        entries: Files.
        where: The folder in messages.

    Returns:
        Paths; the last is None where there are no criteria.

    Raises:
        UserError: Not exactly one file of posts and one of annotations, or several of criteria.
    """
    tables = [
        entry for entry in entries if entry.suffix.lower() in TABLE_SUFFIXES and not entry.name.startswith((".", "~"))
    ]
    annotations = [entry for entry in tables if "annotations" in entry.name.lower()]
    posts = [entry for entry in tables if "posts" in entry.name.lower() and entry not in annotations]
    criteria = [
        entry for entry in entries if entry.name.lower() in {f"criteria{suffix}" for suffix in CRITERIA_SUFFIXES}
    ]
    for found, word in ((posts, "posts"), (annotations, "annotations")):
        if len(found) != 1:
            there = ", ".join(sorted(entry.name for entry in found)) or "none"
            raise UserError(
                f"{where}: there must be one file named *{word}* with {', '.join(TABLE_SUFFIXES)}, and there are "
                f"{len(found)} "
                f"({there}); give the two files by name"
            )
    if len(criteria) > 1:
        raise UserError(f"{where}: there are {len(criteria)} criteria files; keep one, or name it")
    return str(posts[0]), str(annotations[0]), str(criteria[0]) if criteria else None


def _from_files(posts: str, annotations: str, criteria: str | None, name: str) -> Source:
    tables = read_table(posts, POST_COLUMNS), read_table(annotations, ANNOTATION_COLUMNS)
    return Source(*tables, criteria, name, is_synthetic(Path(posts)))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except PermissionError:
        raise UserError(f"{folder}: no permission to list it; check its owner and mode (ls -ld)") from None


def _refuse_revision(revision: str | None, what: str) -> None:
    if revision is not None:
        raise UserError(f"the revision {revision!r} belongs to a dataset on the hub; leave it out for {what}")
