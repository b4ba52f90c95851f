"""Builds every option once before anything else, so that an impossible value is refused with its whole key."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_type_hints

from jsonargparse import Namespace

from redsm5.errors import UserError


def check_options(config: Namespace, groups: dict[str, type]) -> None:
    """Build each option class with its values.

    Args:
        config: The parsed config.
        groups: Dotted keys that hold the fields of a dataclass, with that class.

    Raises:
        UserError: A ``__post_init__`` refuses a value; its message, which begins with the field, after the dotted key.
    """
    for key, option, values in _options(config, groups):
        try:
            option(**values)
        except ValueError as error:
            raise UserError(f"{key}.{error}") from error


def dataclass_groups(prefix: str, owner: type) -> dict[str, type]:
    """The dataclasses among the parameters of a class, by dotted key."""
    hints = get_type_hints(owner.__init__)  # type: ignore[misc]  # read, never called
    return {f"{prefix}.{name}": hint for name, hint in hints.items() if isinstance(hint, type) and is_dataclass(hint)}


def _options(config: Namespace, groups: dict[str, type]) -> Iterator[tuple[str, type, dict[str, Any]]]:
    for key, option in groups.items():
        yield key, option, config[key].as_dict()
    # What stands inside another option comes first, so that its own key is the one that is named.
    for key in sorted(config.keys(), key=lambda key: -key.count(".")):
        if key.endswith(".class_path"):
            parent = key.removesuffix(".class_path")
            module, _, name = config[key].rpartition(".")
            option = getattr(importlib.import_module(module), name)
            if is_dataclass(option):
                values = config.get(f"{parent}.init_args")
                fields = (values.as_dict() if values else {}).items()
                yield parent.replace(".init_args", ""), option, {field: _built(value) for field, value in fields}


def _built(value: Any) -> Any:
    """A value, or the option that it describes, so that the one that holds it can judge it."""
    if not (isinstance(value, dict) and "class_path" in value):
        return value
    module, _, name = value["class_path"].rpartition(".")
    return getattr(importlib.import_module(module), name)(**value.get("init_args", {}))
