"""Reports on disk: written whole or not at all, read back with one sentence where that fails."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from redsm5.errors import UserError
from redsm5.report.models import Report


def write_report(path: str | Path, report: Report) -> None:
    """Write ``report.json`` atomically.

    Args:
        path: The file; its folder must exist.
        report: What to write.

    Raises:
        UserError: The file cannot be written.
    """
    write_text_atomically(path, report.model_dump_json(indent=2) + "\n")


def read_report(path: str | Path) -> Report:
    """Read a report that ``write_report`` wrote.

    Raises:
        UserError: The file is missing, unreadable, not JSON, or not a report of this version.
    """
    try:
        return Report.model_validate_json(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"cannot read the report {path}: {error.strerror}; run redsm5 fit first") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{path} is not a report of this version: {where}: {first['msg']}; delete it and run redsm5 validate"
        ) from None


def write_text_atomically(path: str | Path, text: str, *, mode: int = 0o644) -> None:
    """Replace a file by UTF-8 text so that a reader, or a crash, sees the old file or the new one and nothing between.

    A temporary file in the same folder is flushed to disk and renamed; then the folder is flushed.

    Args:
        path: The file; its folder must exist.
        text: The new content.
        mode: Permissions, less the umask.

    Raises:
        UserError: The file cannot be written.
    """
    target = Path(path)
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, target)
        finally:
            aside.unlink(missing_ok=True)
        _flush_folder(target.parent)
    except OSError as error:
        raise UserError(
            f"cannot write {target}: {error.strerror}; check its folder, its permissions and the space left"
        ) from error


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
