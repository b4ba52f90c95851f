"""Rows of posts and annotations with their types checked, before anything is said about them as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from redsm5.datamodules.criteria import SPECIAL_CASE
from redsm5.datamodules.tables import MAX_CELL, Row, Table, shown
from redsm5.errors import UserError

POST_COLUMNS = ("post_id", "text")
LABEL_COLUMN = "DSM5_symptom"
ANNOTATION_COLUMNS = ("post_id", "sentence_id", "sentence_text", LABEL_COLUMN, "status")

_STATUS: dict[object, Literal[0, 1]] = {0: 0, 1: 1, "0": 0, "1": 1, "0.0": 0, "1.0": 1}
"""Accepted cells. Pandas writes 1.0 where a column once had a gap; True and 1.0 equal 1 as keys."""

_KINDS = {int: "a number", float: "a number", bool: "true or false", list: "a list", dict: "an object"}
"""Types of JSON and Parquet as users call them."""

_NOT_A_NUMBER = ("nan", "NaN", "NAN", "<NA>")


@dataclass(frozen=True, slots=True)
class PostRow:
    """A row of the posts; ``text`` is as in the file and may be blank."""

    place: str
    post_id: str
    text: str


@dataclass(frozen=True, slots=True)
class AnnotationRow:
    """A row of the annotations; ``sentence`` has no surrounding whitespace."""

    place: str
    post_id: str
    sentence_id: str
    sentence: str
    label: str
    status: Literal[0, 1]


def post_rows(table: Table) -> list[PostRow]:
    """The posts of a table; a missing text is an empty one, which the validation drops and counts.

    Args:
        table: Rows with at least ``POST_COLUMNS``.

    Raises:
        UserError: There are no rows, or a cell has the wrong type; with file and row.
    """
    if not table.rows:
        raise UserError(f"{table.name} has no rows")
    return [post_row(row) for row in table.rows]


def post_row(row: Row) -> PostRow:
    """A post; a missing text is an empty one.

    Args:
        row: With at least ``POST_COLUMNS``.

    Raises:
        UserError: A cell has the wrong type; with file and row.
    """
    return PostRow(row.place, _identifier(row, "post_id"), _text(row, "text") or "")


def annotation_rows(table: Table) -> tuple[list[AnnotationRow], int]:
    """The annotations of a table and the number of special cases, which are left out unread.

    Args:
        table: Rows with at least ``ANNOTATION_COLUMNS``.

    Raises:
        UserError: There are no rows, a cell is missing or of the wrong type, or a status is not 0 or 1; with file and
            row.
    """
    if not table.rows:
        raise UserError(f"{table.name} has no rows")
    rows, special_cases = [], 0
    for row in table.rows:
        label = _needed(row, LABEL_COLUMN).strip()
        if label == SPECIAL_CASE:
            special_cases += 1
            continue
        rows.append(
            AnnotationRow(
                place=row.place,
                post_id=_identifier(row, "post_id"),
                sentence_id=_identifier(row, "sentence_id"),
                sentence=_needed(row, "sentence_text").strip(),
                label=label,
                status=_status(row),
            )
        )
    return rows, special_cases


def _text(row: Row, column: str) -> str | None:
    value: Any = row.cells[column]
    if value is None:
        return None
    if not isinstance(value, str):
        what = "NaN" if isinstance(value, float) and value != value else _KINDS.get(type(value), "something else")
        raise UserError(f"{row.place}: {column} must be a string and is {what}")
    if value in _NOT_A_NUMBER:
        raise UserError(f"{row.place}: {column} is NaN; fill it in or remove the row")
    if len(value) > MAX_CELL:
        raise UserError(f"{row.place}: {column} is longer than {MAX_CELL:,} characters")
    if "\0" in value:
        raise UserError(f"{row.place}: {column} holds a NUL character; remove it")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise UserError(f"{row.place}: {column} holds half a surrogate pair, which is no character; export it as UTF-8")
    return value


def _needed(row: Row, column: str) -> str:
    value = _text(row, column)
    if value is None or not value.strip():
        raise UserError(f"{row.place}: {column} is empty; fill it in or remove the row")
    return value


def _identifier(row: Row, column: str) -> str:
    value = row.cells[column]
    # Parquet and JSON keep numeric ids as numbers, CSV as their digits.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _needed(row, column).strip()


def _status(row: Row) -> Literal[0, 1]:
    value = row.cells["status"]
    key = value.strip() if isinstance(value, str) else value
    if isinstance(key, str | int | float) and key in _STATUS:
        return _STATUS[key]
    given = "empty" if key is None or key == "" else shown(value)
    raise UserError(f"{row.place}: status must be 0 or 1 and is {given}")
