"""Reports on disk: written whole or not at all, read back with one sentence where that fails."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from redsm5.atomic import write_text_atomically
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
