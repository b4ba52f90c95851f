"""A corpus on the Hugging Face hub, at a pinned revision."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redsm5.datamodules.rows import ANNOTATION_COLUMNS, LABEL_COLUMN, POST_COLUMNS
from redsm5.datamodules.sources import Source, find_files
from redsm5.datamodules.tables import TABLE_SUFFIXES, Row, Table, read_table, require_columns
from redsm5.errors import UserError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PATTERNS = [f"*{word}*{suffix}" for word in ("posts", "annotations") for suffix in TABLE_SUFFIXES] + ["*criteria.*"]

Part = tuple[str, str]
"""A config and a split of it."""


def open_dataset(
    dataset: str, revision: str | None, posts: str | None = None, annotations: str | None = None
) -> Source:
    """The tables of a dataset.

    A repository that holds one file of posts and one of annotations is read like a folder, so that the same bytes give
    the same corpus. Any other is read through ``datasets``: configs or splits named after posts and annotations, or one
    flat table in which each row repeats its post.

    Args:
        dataset: ``owner/name``.
        revision: A branch, tag or commit; None for the main branch.
        posts: ``config/split`` of the posts, or a config, or a split; None to go by the names.
        annotations: Likewise.

    Returns:
        The tables; the name holds the commit that the revision stands for.

    Raises:
        UserError: The dataset cannot be had (missing, gated, offline), or its layout is not understood.
    """
    try:
        commit = resolve_commit(dataset, revision)
        name = f"{dataset}@{commit}"
        if posts is None and annotations is None:
            folder = download_files(dataset, commit)
            files = [entry for entry in folder.rglob("*") if entry.is_file()] if folder is not None else []
            try:
                posts_file, annotations_file, criteria = find_files(files, name)
            except UserError:
                pass  # Another layout.
            else:
                return Source(
                    read_table(posts_file, POST_COLUMNS),
                    read_table(annotations_file, ANNOTATION_COLUMNS),
                    criteria,
                    name,
                )
        return _through_datasets(dataset, commit, posts, annotations)
    except UserError:
        raise
    except Exception as error:
        raise _sentence(error, dataset, revision) from error


def resolve_commit(dataset: str, revision: str | None) -> str:
    """The commit that a revision stands for; a commit stands for itself, without asking the hub.

    Args:
        dataset: ``owner/name``.
        revision: A branch, tag or commit; None for the main branch.
    """
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    return str(HfApi().dataset_info(dataset, revision=revision).sha)


def download_files(dataset: str, commit: str) -> Path | None:
    """The folder with the files that are named like a corpus; the cache serves what it has.

    Args:
        dataset: ``owner/name``.
        commit: The commit.

    Returns:
        None where neither the hub nor the cache has them, but the cache of ``datasets`` may.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(dataset, repo_type="dataset", revision=commit, allow_patterns=_PATTERNS))
    except LocalEntryNotFoundError:
        if find_spec("datasets") is None:
            raise
        return None


def _through_datasets(dataset: str, commit: str, posts: str | None, annotations: str | None) -> Source:
    try:
        library = importlib.import_module("datasets")
    except ImportError:
        raise UserError(f"{dataset} is read with the package 'datasets': pip install 'redsm5[hub]'") from None
    parts = [
        (str(config), str(split))
        for config in library.get_dataset_config_names(dataset, revision=commit)
        for split in library.get_dataset_split_names(dataset, config, revision=commit)
    ]
    name = f"{dataset}@{commit}"
    if posts is not None or annotations is not None:
        if posts is None or annotations is None:
            raise UserError(
                f"{dataset}: name the config and split of both the posts and the annotations; {_there(parts)}"
            )
        chosen = (_named(parts, posts, dataset), _named(parts, annotations, dataset))
    else:
        chosen = (_about(parts, "posts", "annotations"), _about(parts, "annotations", "posts"))
    if chosen[0] and chosen[1]:
        tables = [
            _load(library, dataset, commit, found, columns)
            for found, columns in zip(chosen, (POST_COLUMNS, ANNOTATION_COLUMNS), strict=True)
        ]
        return Source(tables[0], tables[1], None, name)
    if len({config for config, _ in parts}) != 1:
        raise UserError(
            f"{dataset}: which configs hold the posts and the annotations is not clear; name them as posts and "
            "annotations "
            f"(config/split); {_there(parts)}"
        )
    return _flat(
        _load(library, dataset, commit, parts, tuple(dict.fromkeys((*POST_COLUMNS, *ANNOTATION_COLUMNS)))), name
    )


def _named(parts: list[Part], wanted: str, dataset: str) -> list[Part]:
    """The parts that ``config/split``, a config or a split names."""
    found = [part for part in parts if wanted in ("/".join(part), part[0])] or [
        part for part in parts if part[1] == wanted
    ]
    if not found or (wanted not in ("/".join(found[0]), found[0][0]) and len(found) > 1):
        trouble = "is in several configs" if found else "is neither a config nor a split"
        raise UserError(f"{dataset}: {wanted!r} {trouble}; {_there(parts)}")
    return found


def _about(parts: list[Part], word: str, other: str) -> list[Part]:
    return [
        part
        for part in parts
        if word in " ".join(part).lower() and (other not in " ".join(part).lower() or word in part[1])
    ]


def _there(parts: list[Part]) -> str:
    return "there are " + (", ".join("/".join(part) for part in parts) or "none")


def _load(library: Any, dataset: str, commit: str, parts: Iterable[Part], columns: tuple[str, ...]) -> Table:
    rows: list[Row] = []
    names = []
    for config, split in parts:
        part = library.load_dataset(dataset, config, split=split, revision=commit)
        where = f"{dataset} ({config}/{split})"
        names.append(f"{config}/{split}")
        require_columns(where, list(part.column_names), columns)
        classes = {column: getattr(part.features[column], "names", None) for column in columns}
        for number, record in enumerate(part.select_columns(list(columns)), start=1):
            cells = {column: _class_name(record[column], classes[column]) for column in columns}
            rows.append(Row(f"{where}, row {number}", cells))
    return Table(f"{dataset} ({', '.join(names)})", "hub", "hub", tuple(rows))


def _class_name(value: Any, names: list[str] | None) -> Any:
    """Class labels are stored as numbers; what the annotation says is their name."""
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value


def _flat(table: Table, name: str) -> Source:
    """Posts and annotations from rows that hold both; a row without a sentence is a post without annotation."""
    posts: dict[tuple[Any, Any], Row] = {}
    for row in table.rows:
        posts.setdefault((row.cells["post_id"], row.cells["text"]), row)
    annotated = tuple(row for row in table.rows if row.cells["sentence_text"] or row.cells[LABEL_COLUMN])
    return Source(
        Table(table.name, table.format, table.encoding, tuple(posts.values())),
        Table(table.name, table.format, table.encoding, annotated),
        None,
        name,
    )


def _sentence(error: Exception, dataset: str, revision: str | None) -> UserError:
    """What went wrong on the hub, for the user; by class names, as both libraries have their own."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    login = "log in with `hf auth login`, or set HF_TOKEN"
    if "GatedRepoError" in kinds or "gated" in str(error).lower():
        return UserError(
            f"the dataset {dataset} is gated: ask for access at https://huggingface.co/datasets/{dataset}, then {login}"
        )
    if "RevisionNotFoundError" in kinds:
        return UserError(f"the dataset {dataset} has no revision {revision!r}; give a branch, tag or commit of it")
    if kinds & {"RepositoryNotFoundError", "DatasetNotFoundError", "HFValidationError"}:
        return UserError(
            f"there is no folder {dataset}, and no dataset of that name that you may read on the hub; if it is "
            f"private, {login}"
        )
    if kinds & {"DatasetGenerationError", "DataFilesNotFoundError", "DatasetBuildError"}:
        return UserError(
            f"the dataset {dataset} cannot be read as a table ({type(error).__name__}); download it and give a folder"
        )
    return UserError(
        f"there is no folder {dataset}, and the dataset cannot be fetched from the hub ({type(error).__name__}): "
        "check the "
        "connection, or give a folder, or a commit that is in the cache as the revision"
    )
