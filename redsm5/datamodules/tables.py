"""CSV, JSONL and Parquet files as rows that know where they stand."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from redsm5.datamodules.files import TextLines, open_file
from redsm5.errors import UserError

TABLE_SUFFIXES = (".csv", ".parquet", ".jsonl")

MAX_CELL = 10_000_000
"""Characters that a cell may hold; more is a broken file, not a post."""


PARQUET_ROWS = 1024
"""Rows of a Parquet file that are in memory at once."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``place`` is the file and the row, for messages; ``cells`` holds what the file holds, by column."""

    place: str
    cells: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A file's rows in its order, with the name, the format and the encoding that the audit reports."""

    name: str
    format: str
    encoding: str
    rows: tuple[Row, ...]


def read_table(path: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Table:
    """Read a table; its suffix says the format.

    In CSV the header is row 1, as in a spreadsheet; in JSONL the row is the line; in Parquet rows count from 1.

    Args:
        path: A .csv, .parquet or .jsonl file.
        required: Columns that must be there.
        optional: Columns that are kept where they are there; all others are left out.

    Raises:
        UserError: One sentence with file and row: unreadable, not in that format, a required column is missing, a cell
            is too long.
    """
    with open_rows(path, required, optional) as (kind, encoding, rows):
        return Table(path, kind, encoding, tuple(rows))


@contextmanager
def open_rows(
    path: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, Iterator[Row]]]:
    """A table row by row, in memory that does not grow with it: format, encoding and rows.

    Args:
        path: As for ``read_table``.
        required: As for ``read_table``.
        optional: As for ``read_table``.

    Raises:
        UserError: As ``read_table``; about a row, when it is reached.
    """
    suffix = Path(path).suffix.lower()
    if Path(path).is_dir():
        raise UserError(f"{path} is a directory; give a {', '.join(TABLE_SUFFIXES)} file")
    if suffix not in TABLE_SUFFIXES:
        raise UserError(
            f"{path}: the extension {suffix or '(none)'!r} is unknown; accepted are {', '.join(TABLE_SUFFIXES)}"
        )
    with open_file(path) as stream:
        if suffix == ".parquet":
            yield "parquet", "parquet", _parquet_rows(stream, path, required, optional)
            return
        lines = TextLines(stream, path)
        read = jsonl_rows if suffix == ".jsonl" else csv_rows
        yield suffix.removeprefix("."), lines.encoding, read(lines, path, required, optional)


def jsonl_rows(
    lines: Iterable[str], name: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[Row]:
    """JSON lines: one object per line, blank lines skipped.

    Args:
        lines: The lines.
        name: The file in messages.
        required: Keys that each object must have.
        optional: Keys that are kept where they are there.

    Raises:
        UserError: A line is not a JSON object or lacks a key; with its line.
    """
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"{name}, row {number}"
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            # Some of Python's messages end in "at", and go on with the place.
            said = error.msg.lower() if error.msg.endswith(" at") else f"{error.msg.lower()},"
            raise UserError(f"{place}: not valid JSON ({said} column {error.colno})") from None
        except (ValueError, RecursionError):
            raise UserError(f"{place}: not valid JSON that can be read") from None
        if not isinstance(record, dict):
            raise UserError(f"{place}: each line must be one JSON object, with the keys {', '.join(required)}")
        require_columns(place, list(record), required)
        yield Row(place, {key: record[key] for key in (*required, *optional) if key in record})


def csv_rows(
    lines: Iterable[str], name: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterator[Row]:
    """CSV with a header; quoted cells may hold line breaks.

    Args:
        lines: The lines with their ends.
        name: The file in messages.
        required: Columns that must be there.
        optional: Columns that are kept where they are there.

    Raises:
        UserError: There is no header, it lacks a column, or a row is broken; with its row.
    """
    header: list[str] | None = None
    number, last_line = 0, 0
    reader = csv.reader(lines, strict=True)
    while True:
        number += 1
        # A row may span several lines: spreadsheets count rows, editors count lines.
        line = "" if last_line + 1 == number else f" (line {last_line + 1})"
        place = f"{name}, row {number}{line}"
        try:
            with _cell_limit():
                cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            raise UserError(f"{place}: {_csv_sentence(str(error))}") from None
        last_line = reader.line_num
        if not cells:
            continue
        if header is None:
            header = cells
            _check_header(name, header, required)
            continue
        if len(cells) != len(header):
            raise UserError(
                f"{place}: {len(cells)} cells, but the header has {len(header)} columns; "
                "quote cells that hold a comma or a line break"
            )
        values = dict(zip(header, cells, strict=True))
        yield Row(place, {key: values[key] for key in (*required, *optional) if key in values})
    if header is None:
        raise UserError(f"{name} is empty: it has no header row")


def require_columns(place: str, present: list[str], required: tuple[str, ...]) -> None:
    """Refuse a table that lacks a column, naming those that it has.

    Args:
        place: The table in the message.
        present: Its columns.
        required: Those that must be there, once.

    Raises:
        UserError: A column is missing, or there twice.
    """
    for column in required:
        count = present.count(column)
        if count == 0:
            there = ", ".join(shown(name) for name in present[:20]) or "none"
            raise UserError(f"{place}: the column {column!r} is missing; the columns there are {there}")
        if count > 1:
            raise UserError(f"{place}: the column {column!r} is there {count} times; keep one")


def shown(value: object) -> str:
    """A cell for a message: itself where it looks like an id or a number, else only its size, as it may be post text.

    Args:
        value: A cell.
    """
    text = value if isinstance(value, str) else str(value)
    if re.fullmatch(r"[^\s]{0,40}", text) and text.isprintable():
        return repr(value)
    return f"a text of {len(text)} characters"


def _check_header(name: str, header: list[str], required: tuple[str, ...]) -> None:
    if len(header) == 1 and len(required) > 1:
        for separator, word in ((";", "semicolons"), ("\t", "tabs")):
            if separator in header[0]:
                raise UserError(f"{name}: the columns seem to be separated by {word}; write it with commas")
    require_columns(name, header, required)


def _csv_sentence(error: str) -> str:
    if "field limit" in error:
        return f"a cell longer than {MAX_CELL:,} characters; a quote may be left open there"
    if "unexpected end of data" in error:
        return "a quote is opened and never closed; double the quotes inside a quoted cell"
    if "expected after" in error:
        return "text follows a closing quote; double the quotes inside a quoted cell"
    return "not valid CSV; export it again, with cells quoted that hold commas, quotes or line breaks"


@contextmanager
def _cell_limit() -> Iterator[None]:
    # The csv module has one limit for the whole process: others get theirs back.
    before = csv.field_size_limit(MAX_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _parquet_rows(stream: IO[bytes], name: str, required: tuple[str, ...], optional: tuple[str, ...]) -> Iterator[Row]:
    import pyarrow as pa  # Only who has a Parquet file waits for the import.
    import pyarrow.parquet as pq

    number = 0
    try:
        file = pq.ParquetFile(stream)
        present = list(file.schema_arrow.names)
        require_columns(name, present, required)
        wanted = [key for key in (*required, *optional) if key in present]
        for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=wanted):
            for cells in batch.to_pylist():
                number += 1
                yield Row(f"{name}, row {number}", cells)
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        raise UserError(f"{name}: not a Parquet file that can be read; write it again") from None
