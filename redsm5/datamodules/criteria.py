"""The labels of a corpus and what they mean: the packaged DSM-5 symptoms, or a file of the user."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

from redsm5.datamodules.corpus import Criterion
from redsm5.datamodules.files import decode, read_bytes
from redsm5.errors import UserError

SPECIAL_CASE = "SPECIAL_CASE"
"""A label of the annotations that is read, counted and left out: it is not a criterion."""

CRITERIA_SUFFIXES = (".json", ".yaml", ".yml")

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_SHAPE = "a list of {code, title, text}, or a map of code to text or to {title, text}"


def load_criteria(path: str | None) -> tuple[Criterion, ...]:
    """The criteria in the order of the model's outputs.

    Args:
        path: A JSON or YAML file, either a list of ``{code, title, text}`` or a map of code to text or to
            ``{title, text}``; None for the nine DSM-5 symptoms of major depression. A missing title is made from the
            code.

    Returns:
        At least one criterion, codes unique.

    Raises:
        UserError: The file cannot be read, or an entry is wrong; names the file and the entry.
    """
    if path is None:
        name, text = "dsm5.json", (resources.files("redsm5.datamodules") / "dsm5.json").read_text(encoding="utf-8")
    else:
        name = path
        if Path(path).suffix.lower() not in CRITERIA_SUFFIXES and not Path(path).is_dir():
            raise UserError(f"{path}: criteria are read from {', '.join(CRITERIA_SUFFIXES)} files")
        text, _ = decode(read_bytes(path), path)
    criteria = tuple(_criterion(name, code, entry) for code, entry in _entries(name, _parse(name, text)))
    if not criteria:
        raise UserError(f"{name} holds no criteria; it must be {_SHAPE}")
    seen: set[str] = set()
    for criterion in criteria:
        if criterion.code in seen:
            raise UserError(f"{name}: the code {criterion.code} is there twice; keep one")
        seen.add(criterion.code)
    return criteria


def _parse(name: str, text: str) -> Any:
    if name.lower().endswith(".json"):
        try:
            # Pairs instead of a dict, so that a code given twice is seen.
            return json.loads(text, object_pairs_hook=_Pairs)
        except json.JSONDecodeError as error:
            raise UserError(f"{name}, line {error.lineno}: not valid JSON ({error.msg.lower()})") from None
        except (ValueError, RecursionError):
            raise UserError(f"{name}: not valid JSON; it must be {_SHAPE}") from None
    import yaml  # Only who has a YAML file waits for the import.

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}, line {mark.line + 1}" if mark is not None else name
        raise UserError(
            f"{where}: not valid YAML ({getattr(error, 'problem', None) or 'it cannot be parsed'})"
        ) from None


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written."""


def _entries(name: str, content: Any) -> list[tuple[Any, Any]]:
    """(code, entry) pairs; the code is None where the entry is expected to hold it."""
    if isinstance(content, dict):
        return list(content.items())
    if isinstance(content, _Pairs):
        return list(content)
    if isinstance(content, list):
        return [(None, entry) for entry in content]
    raise UserError(f"{name}: it must be {_SHAPE}")


def _criterion(name: str, code: Any, entry: Any) -> Criterion:
    inside = entry
    if isinstance(entry, _Pairs):
        inside = dict(entry)
    elif isinstance(entry, str) and code is not None:
        inside = {"text": entry}
    if not isinstance(inside, dict):
        raise UserError(f"{name}: the entry of {code or 'the list'} is neither a text nor a map; it must be {_SHAPE}")
    allowed = {"title", "text"} if code is not None else {"code", "title", "text"}
    unknown = [str(key) for key in inside if key not in allowed]
    if unknown:
        raise UserError(f"{name}: unknown key {unknown[0]!r} in a criterion; accepted are {', '.join(sorted(allowed))}")
    code = inside.get("code", code)
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise UserError(f"{name}: the code {code!r} must be up to 64 letters, digits or _ . - (quote it in YAML)")
    if code == SPECIAL_CASE:
        raise UserError(f"{name}: {SPECIAL_CASE} is no criterion (its annotations are left out); remove it")
    text = inside.get("text")
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{name}: {code} needs a text that describes it")
    title = inside.get("title", code.replace("_", " ").capitalize())
    if not isinstance(title, str) or not title.strip():
        raise UserError(f"{name}: the title of {code} must be a text")
    return Criterion(code=code, title=title.strip(), text=text.strip())
