"""Gives every variant its own defaults where jsonargparse would keep those of another. Torch-free.

When a source switches the class of an option, jsonargparse 4.53 keeps the values of the class before under every name
that both have: ``--model.optimizer SGD`` would have AdamW's rates. What a source sets is meant for the class that the
option has after that source.
"""

from __future__ import annotations

from typing import Any

from jsonargparse import Namespace


def drop_foreign_values(config: Namespace, sources: list[dict[str, Any]], defaults: Namespace) -> None:
    """Take out of every variant the values that were not set for its class; its own defaults then fill in.

    Args:
        config: The parsed config, changed in place.
        sources: What each config file and each run of options set, by dotted key, in their order.
        defaults: The config that nothing was set in.
    """
    named = [{key.replace(".init_args.", "."): value for key, value in source.items()} for source in sources]
    for key in [k for k in config.keys(branches=True) if k.endswith(".class_path")]:
        parent = key.removesuffix(".class_path")
        values = config.get(f"{parent}.init_args")
        if config.get(key) is None or not isinstance(values, Namespace):
            continue
        given = _given_fields(parent.replace(".init_args.", "."), config[key], named, defaults.get(key))
        for field in [f for f in values.keys(branches=True, nested=False) if f not in given]:
            del config[f"{parent}.init_args"][field]


def _given_fields(option: str, chosen: str, sources: list[dict[str, Any]], default: str | None) -> set[str]:
    """The fields that were set since the option last became another class."""
    current, fields = None if default is None else _name(default), set[str]()
    for source in sources:
        named = source.get(f"{option}.class_path", source.get(option))
        if isinstance(named, str) and named not in ("", "null"):
            if current is not None and _name(named) != current:
                fields = set()
            current = _name(named)
        prefix = f"{option}."
        fields |= {key.removeprefix(prefix).split(".", 1)[0] for key in source if key.startswith(prefix)}
    return fields if current in (None, _name(chosen)) else set()


def _name(class_path: str) -> str:
    return class_path.rpartition(".")[2]
