"""Files that other commands have made of a study: read for its report."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from redsm5.errors import UserError

M = TypeVar("M", bound=BaseModel)


def read_made(path: Path, model: type[M], advice: str) -> M | None:
    """What a file says; None where there is none.

    Args:
        path: The file.
        model: What it holds.
        advice: What to do about a file of another version.

    Raises:
        UserError: It is of another version.
    """
    if not path.exists():
        return None
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise UserError(f"{path} is of another version of redsm5; {advice}") from error
