"""Files that other commands have made of a study: read for reports and cards, which they only add to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


def read_made(path: Path, model: type[Model], tell: Callable[[str], None]) -> Model | None:
    """What a file says; None where there is none, or, which is told, where it is of another version.

    Args:
        path: The file.
        model: What it holds.
        tell: Says what is left out.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except OSError:
        return None
    except ValidationError:
        tell(f"{path} is of another version of redsm5, and left out; what made it makes it anew")
        return None
