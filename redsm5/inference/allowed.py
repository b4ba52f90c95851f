"""What a config in a model's folder may name: our own option classes, by an exact list, and plain values.

jsonargparse imports whatever a class path, or a mere string in its place, names, before it looks at what that is.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

from redsm5.errors import UserError
from redsm5.run.sentences import variants_of

PACKAGE = "redsm5."


def refuse_foreign(value: Any, kind: Any, source: str) -> None:
    """See that a value for a field names no code but our own.

    Args:
        value: Plain values, as YAML gives them.
        kind: The type of the field.
        source: The file in messages.

    Raises:
        UserError: A class that is no variant of the option, or something else in its place; nothing was imported.
    """
    kinds = get_args(kind) or (kind,)
    own = [one for one in kinds if isinstance(one, type) and one.__module__.startswith(PACKAGE)]
    if not own:
        if isinstance(value, Mapping):
            raise UserError(f"{source} holds a mapping where a plain value belongs ({', '.join(map(str, value))})")
        return
    if value is None and NoneType in kinds:
        return
    if not isinstance(value, Mapping):
        raise UserError(f"{source} asks for {value!r}, which is no part of redsm5, and nothing else is loaded")
    given, chosen = value, own[0]
    if inspect.isabstract(chosen):
        allowed = {f"{variant.__module__}.{variant.__qualname__}": variant for variant in variants_of(chosen)}
        path = value.get("class_path")
        if isinstance(path, str) and path.startswith(PACKAGE) and path not in allowed:
            raise UserError(
                f"{source} does not fit this version of redsm5 ({path} is none of its options); use the version that "
                "wrote it"
            )
        if not isinstance(path, str) or path not in allowed or value.keys() - {"class_path", "init_args"}:
            raise UserError(f"{source} asks for {path!r}, which is no part of redsm5, and nothing else is loaded")
        given, chosen = value.get("init_args") or {}, allowed[path]
    if not is_dataclass(chosen) or not isinstance(given, Mapping):
        raise UserError(f"{source} holds {given!r} where options of {chosen.__name__} belong")
    hints = get_type_hints(chosen)
    for field in fields(chosen):
        if field.name in given:
            refuse_foreign(given[field.name], hints[field.name], source)
