"""Texts to pretrain on, one after the other, in memory that does not grow with them. Torch-free."""

from __future__ import annotations

import hashlib
import importlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redsm5.atomic import write_text_atomically
from redsm5.datamodules.corpus import Post
from redsm5.datamodules.files import TextLines, open_file
from redsm5.datamodules.hub_dataset import resolve_commit
from redsm5.datamodules.tables import TABLE_SUFFIXES, open_rows
from redsm5.datamodules.validation import author_of
from redsm5.errors import UserError

SUFFIXES = (".txt", *TABLE_SUFFIXES)
LONGEST_TEXT = 200_000
"""Characters after which a text of a .txt file is cut at the end of a line: it may be one of gigabytes."""
MANY_FILES = 10
"""From so many .txt files on, what is held out are whole files; of fewer, texts."""
HASHES = "hashes.json"
_DATASET_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Text:
    """A text, and what it may not be torn from when some are held out: its author, or its file."""

    group: str
    text: str


@dataclass(frozen=True)
class TextSource:
    """Texts of a folder, of a file, or of a dataset on the hub.

    Attributes:
        path: Where they are.
        column: Of the text in tables.
        revision: Of a dataset on the hub.
    """

    path: str
    column: str = "text"
    revision: str | None = None

    def __iter__(self) -> Iterator[Text]:
        """The texts; blank ones are left out.

        Raises:
            UserError: They cannot be read.
        """
        return (text for text in self._all() if text.text.strip())

    def sha256(self, memo: Path) -> str:
        """A hash of the files by name and content, or of the commit on the hub.

        Args:
            memo: Folder that keeps the hashes of files by size and time, so that gigabytes are read once.
        """
        digest = hashlib.sha256(f"{self.column}\0".encode())
        if not self._is_local:
            digest.update(f"{self.path}@{self._commit()}".encode())
            return digest.hexdigest()
        known, files = _known_hashes(memo / HASHES), self._files()
        found = {}
        for file in files:
            stat = file.stat()
            key = f"{file.absolute()}:{stat.st_size}:{stat.st_mtime_ns}"
            found[key] = known.get(key) or _sha256(file)
            digest.update(f"{file.name}\0{found[key]}\0".encode())
        if found.keys() - known.keys():
            memo.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_text_atomically(memo / HASHES, json.dumps({**known, **found}), mode=0o600)
        return digest.hexdigest()

    @property
    def _is_local(self) -> bool:
        return Path(self.path).exists() or not _DATASET_ID.fullmatch(self.path)

    def _all(self) -> Iterator[Text]:
        if not self._is_local:
            yield from self._of_hub()
            return
        files = self._files()
        plain = sum(file.suffix.lower() == ".txt" for file in files)
        for file in files:
            if file.suffix.lower() == ".txt":
                yield from _plain_texts(file, whole_file=plain >= MANY_FILES)
            else:
                yield from _table_texts(str(file), self.column)

    def _files(self) -> list[Path]:
        path = Path(self.path)
        if self.revision is not None:
            raise UserError(
                f"pretraining.texts_revision is set, and pretraining.texts {self.path} is no dataset on the hub; leave "
                "it out"
            )
        if not path.exists():
            raise UserError(
                f"pretraining.texts {path}: there is no such folder or file (a dataset is written owner/name)"
            )
        files = [path] if path.is_file() else sorted(entry for entry in path.rglob("*") if entry.is_file())
        found = [file for file in files if file.suffix.lower() in SUFFIXES and not file.name.startswith((".", "~"))]
        if not found:
            raise UserError(f"pretraining.texts {path} holds no texts; accepted are {', '.join(SUFFIXES)}")
        return found

    def _commit(self) -> str:
        try:
            return resolve_commit(self.path, self.revision)
        except Exception as error:
            raise UserError(
                f"the dataset {self.path} cannot be found on the hub ({type(error).__name__}); check its name and the "
                "network, log in with `hf auth login` where it is gated, or give a folder"
            ) from error

    def _of_hub(self) -> Iterator[Text]:
        try:
            library = importlib.import_module("datasets")
        except ImportError:
            raise UserError(f"{self.path} is read with the package 'datasets': pip install 'redsm5[hub]'") from None
        commit = self._commit()
        try:
            parts: Any = library.load_dataset(self.path, revision=commit, streaming=True)
        except Exception as error:
            raise UserError(
                f"the dataset {self.path} cannot be read ({type(error).__name__}); download it and give a folder"
            ) from error
        for name in ["train"] if "train" in parts else sorted(parts):
            for number, record in enumerate(parts[name]):
                if self.column not in record:
                    raise UserError(f"{self.path}: the column {self.column!r} is missing; set pretraining.text_column")
                yield Text(f"{name}:{number}", str(record[self.column] or ""))


def texts_of(posts: Iterable[Post]) -> Iterator[Text]:
    """Posts as texts, each with its author.

    Args:
        posts: The posts.
    """
    return (Text(post.author, post.text) for post in posts)


def posts_sha256(posts: Iterable[Post]) -> str:
    """A hash of posts: ids, authors and texts, in their order.

    Args:
        posts: The posts.
    """
    digest = hashlib.sha256()
    for post in posts:
        digest.update(json.dumps([post.id, post.author, post.text]).encode())
    return digest.hexdigest()


def _plain_texts(file: Path, *, whole_file: bool) -> Iterator[Text]:
    """Texts between blank lines."""
    with open_file(str(file)) as stream:
        lines: list[str] = []
        size, number = 0, 0
        for line in TextLines(stream, str(file)):
            if line.strip() and size <= LONGEST_TEXT:
                lines.append(line)
                size += len(line)
                continue
            if lines:
                yield Text(str(file) if whole_file else f"{file}:{number}", "".join(lines))
            lines, size, number = [line] if line.strip() else [], len(line), number + 1
        yield Text(str(file) if whole_file else f"{file}:{number}", "".join(lines))


def _table_texts(path: str, column: str) -> Iterator[Text]:
    with open_rows(path, (column,), ("post_id", "author")) as (_, _, rows):
        for row in rows:
            value = row.cells[column]
            if value is not None and not isinstance(value, str):
                raise UserError(f"{row.place}: the column {column!r} holds no text; set pretraining.text_column")
            author, post_id = row.cells.get("author"), row.cells.get("post_id")
            group = str(author) if author else author_of(str(post_id)) if post_id else row.place
            yield Text(group, value or "")


def _known_hashes(path: Path) -> dict[str, str]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return {str(key): str(value) for key, value in found.items()}
    return {}


def _sha256(file: Path) -> str:
    with open_file(str(file)) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
