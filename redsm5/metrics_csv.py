"""``metrics.csv``: one row per metric and step, appended as an epoch ends, read as rows or as epochs. Torch-free."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from redsm5.atomic import sync, write_text_atomically
from redsm5.errors import UserError

COLUMNS = ("epoch", "step", "name", "value")
HEADER = ",".join(COLUMNS) + "\n"


@dataclass(frozen=True)
class MetricRow:
    """A value of a metric."""

    epoch: int
    """The epoch that ended"""
    step: int
    """Optimizer steps since the start of the run"""
    name: str
    """Of the metric"""
    value: float
    """Written with all of its digits"""


def append_rows(path: Path, rows: Iterable[MetricRow]) -> None:
    """Append rows in one write, and return when they are on the disk.

    Args:
        path: The file; made with its header if there is none.
        rows: Of an epoch.

    Raises:
        UserError: They cannot be written.
    """
    text = _lines(rows)
    try:
        new = not path.exists() or path.stat().st_size == 0
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(HEADER + text if new else text)
            file.flush()
            os.fsync(file.fileno())
        if new:  # its name in the folder, too
            sync(path.parent)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror}; check its folder: there, writable, with room"
        ) from error


def _lines(rows: Iterable[MetricRow]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows((r.epoch, r.step, r.name, repr(r.value)) for r in rows)
    return text.getvalue()


def keep_rows(path: Path, wanted: Callable[[MetricRow], bool]) -> None:
    """Drop the rows that are not wanted and a last line that was cut; a file without any stays as it is.

    Raises:
        UserError: It is not such a file, or cannot be written.
    """
    if not path.exists():
        return
    text = HEADER + _lines(row for row in read_rows(path) if wanted(row))
    if text.encode("utf-8") != path.read_bytes():
        write_text_atomically(path, text)


def read_rows(path: Path) -> list[MetricRow]:
    """All rows; a last line that is not ended, which a kill may leave, is none.

    Raises:
        UserError: The file is missing or not such a file.
    """
    return rows_between(path, 0, None)


def rows_between(path: Path, start: int, end: int | None) -> list[MetricRow]:
    """The rows from a byte of the file, where a line begins, to another.

    Raises:
        UserError: The file is missing or not such a file.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read() if end is None else file.read(max(0, end - start))
        lines = data[: data.rfind(b"\n") + 1].decode("utf-8").splitlines()
        if start == 0 and lines and tuple(lines.pop(0).split(",")) != COLUMNS:
            raise ValueError("another header")
        return [MetricRow(int(epoch), int(step), name, float(value)) for epoch, step, name, value in csv.reader(lines)]
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; run redsm5 fit first") from None
    except (ValueError, csv.Error):
        raise UserError(f"{path} is not a metrics file of a run; run redsm5 fit again") from None


def read_epochs(path: Path) -> list[dict[str, float]]:
    """The metrics by epoch: ``epoch``, ``step`` and each metric that has a finite value.

    Raises:
        UserError: The file is missing or not such a file.
    """
    epochs: dict[int, dict[str, float]] = {}
    for row in read_rows(path):
        values = epochs.setdefault(row.epoch, {"epoch": row.epoch, "step": row.step})
        if math.isfinite(row.value):
            values[row.name] = row.value
    return list(epochs.values())
