"""Posts alone, one after the other, for predictions: any number of them in the same memory."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from redsm5.datamodules.corpus import Post
from redsm5.datamodules.files import TextLines
from redsm5.datamodules.rows import POST_COLUMNS, PostRow, post_row
from redsm5.datamodules.tables import Row, jsonl_rows, open_rows
from redsm5.datamodules.validation import author_of
from redsm5.errors import UserError

STANDARD_INPUT = "standard input"
COUNTED_IDS = 100_000
"""Different ids that are kept in mind to find repeated ones: some 10 MB at most."""


@dataclass
class PostStream:
    """The posts of a file, a folder with one ``*posts*`` file, or ``-`` for JSON lines on the standard input.

    Every row is a post, in the order of the file; rows that repeat an id are counted, not dropped, and only among the
    first ``COUNTED_IDS``, so that memory does not grow for ever.

    Attributes:
        path: Where they are.
        count: Posts so far.
        repeated: Posts so far whose id an earlier one has.
        first_repeated: The place of the first of these.
        without_text: Rows so far that hold no text; they are left out.
        first_without_text: The place of the first of these.
    """

    path: str
    count: int = field(default=0, init=False)
    without_text: int = field(default=0, init=False)
    first_without_text: str = field(default="", init=False)
    repeated: int = field(default=0, init=False)
    first_repeated: str = field(default="", init=False)
    _seen: set[int] = field(default_factory=set, init=False, repr=False)

    def __iter__(self) -> Iterator[Post]:
        """The posts.

        Raises:
            UserError: They cannot be read, or none has a text.
        """
        if self.path == "-":
            yield from self._posts(jsonl_rows(_standard_input(), STANDARD_INPUT, POST_COLUMNS))
        else:
            with open_rows(_posts_file(self.path), POST_COLUMNS) as (_, _, rows):
                yield from self._posts(rows)
        if not self.count:
            name = STANDARD_INPUT if self.path == "-" else self.path
            raise UserError(f"{name} has no row with a text; there is nothing to predict")

    def _posts(self, rows: Iterator[Row]) -> Iterator[Post]:
        for row in rows:
            post = post_row(row)
            if post.text.strip():
                self.count += 1
                self._see(post)
                yield Post(post.post_id, post.text, author_of(post.post_id))
            else:
                self.without_text += 1
                self.first_without_text = self.first_without_text or post.place

    def _see(self, post: PostRow) -> None:
        key = hash(post.post_id)  # 64 bits: a set of ids would hold their text
        if key in self._seen:
            self.repeated += 1
            self.first_repeated = self.first_repeated or post.place
        elif len(self._seen) < COUNTED_IDS:
            self._seen.add(key)


def holds(path: str, file: Path) -> bool:
    """Whether posts are read from a file, by whatever name.

    Args:
        path: As of a ``PostStream``.
        file: A file that exists.
    """
    try:
        given = os.fstat(sys.stdin.fileno()) if path == "-" else Path(_posts_file(path)).stat()
    except (OSError, ValueError):
        return False
    return os.path.samestat(given, file.stat())


def _standard_input() -> TextLines:
    stream = sys.stdin.buffer
    assert isinstance(stream, io.BufferedReader)
    head = stream.peek(1)
    if not head:
        raise UserError("standard input is empty; give JSON lines with post_id and text")
    start = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if start[:1].isalnum() or start[:1] == b'"':
        raise UserError("standard input takes JSON lines with post_id and text; give CSV or Parquet as a file")
    return TextLines(stream, STANDARD_INPUT)


def _posts_file(path: str) -> str:
    folder = Path(path)
    if not folder.is_dir():
        return path
    found = [entry for entry in sorted(folder.glob("*posts*")) if entry.is_file() and "annotations" not in entry.name]
    if len(found) != 1:
        raise UserError(f"{path}: there must be one file named *posts*, and there are {len(found)}; give the file")
    return str(found[0])
