"""Settings as the options that a run would have, built without a parser: what cannot be is refused in a millisecond."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Hashable, Mapping
from functools import cache, lru_cache
from typing import Any, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from redsm5.errors import UserError
from redsm5.hpo.space.space import Value
from redsm5.run.sentences import accepted, variants, variants_of

PARTS = ("model", "data")
OF_A_RUN = ("run_dir", "fresh", "tune_batch", "seed_everything")
"""Keys that say which run it is."""


@cache
def roots() -> dict[str, type[Any]]:
    """Keys that hold options, with the class of the options or the base of the variants."""
    from redsm5.datamodules.datamodule import ReDSM5DataModule
    from redsm5.modules.module import MultiTaskModule
    from redsm5.run.lightning_cli import OPTION_GROUPS

    found: dict[str, type[Any]] = dict(OPTION_GROUPS)
    for part, owner in zip(PARTS, (MultiTaskModule, ReDSM5DataModule), strict=True):
        for name, hint in get_type_hints(owner.__init__).items():  # type: ignore[misc]  # read, never called
            if isinstance(hint, type) and variants_of(hint):
                found[f"{part}.{name}"] = hint
    return found


@cache
def plain() -> dict[str, Any]:
    """Keys that hold a value, with its type, where no class of options has them."""
    from redsm5.datamodules.datamodule import ReDSM5DataModule

    hints = get_type_hints(ReDSM5DataModule.__init__)
    linked = ("return", "encoder_id", "encoder_revision", "seed")
    return {
        f"data.{name}": hint for name, hint in hints.items() if f"data.{name}" not in roots() and name not in linked
    }


def types_of(path: str) -> list[Any]:
    """The types that a key may have: one, or those of the variants that have such a field; none where no config has it.

    Args:
        path: Dotted key.
    """
    if path in plain():
        return [plain()[path]]
    if path in roots():
        return [roots()[path]] if variants_of(roots()[path]) else []
    root = next((key for key in roots() if path.startswith(f"{key}.")), None)
    return [] if root is None else _fields(roots()[root], path.removeprefix(f"{root}."))


def _fields(owner: type[Any], path: str) -> list[Any]:
    name, _, rest = path.partition(".")
    found: list[Any] = []
    for kind in variants_of(owner) or [owner]:
        if not dataclasses.is_dataclass(kind) or name not in {field.name for field in dataclasses.fields(kind)}:
            continue
        hint = _hints(kind)[name]
        found += _fields(hint, rest) if rest else [hint]
    return list(dict.fromkeys(found))


def refusal(hint: Any, value: Value) -> str | None:
    """What a type takes instead of a value; None where it takes it.

    Args:
        hint: The type of a field, or the base of variants.
        value: As the space has it.
    """
    if names := variants(hint):
        return None if value in names else accepted(hint)
    try:
        _adapter(hint).validate_json(json.dumps(value))
    except ValidationError:
        return accepted(hint)
    return None


def build(values: Mapping[str, Value]) -> dict[str, Any]:
    """The options of a run, by dotted key.

    Args:
        values: All settings of a config, by key; of an option with variants its class.

    Raises:
        UserError: One cannot be, or two do not go together; the sentence begins with the key.
    """
    from redsm5.run.combinations import refuse_impossible

    below = _below(values)
    options = {key: _option(key, root, values.get(key), below) for key, root in roots().items()}
    options |= {key: _converted(key, hint, values[key]) for key, hint in plain().items() if key in values}
    refuse_impossible(options)
    _refuse_by_module(options)
    return options


def _refuse_by_module(options: Mapping[str, Any]) -> None:
    """What the classes refuse that the options go into: what depends on the encoder, on window and stride."""
    from redsm5.datamodules.datamodule import ReDSM5DataModule
    from redsm5.modules.module import MultiTaskModule
    from redsm5.peft.checks import known_facts

    model, data = (
        {key.removeprefix(f"{part}."): option for key, option in options.items() if key.startswith(f"{part}.")}
        for part in PARTS
    )
    try:
        MultiTaskModule(**model)
        ReDSM5DataModule(encoder_id=model["encoder"].id, **data)
    except ValueError as error:
        raise UserError(str(error)) from error
    known = known_facts(model["encoder"])
    if known is not None and data["max_length"] > known.context:
        raise UserError(f"data.max_length is {data['max_length']}; {known.id} reads at most {known.context} tokens")


def _below(values: Mapping[str, Value]) -> dict[str, dict[str, Value]]:
    """Settings by the key that they stand below."""
    found: dict[str, dict[str, Value]] = {}
    for path, value in values.items():
        key, _, name = path.rpartition(".")
        found.setdefault(key, {})[name] = value
    return found


def _option(key: str, root: type[Any], kind: Value, below: Mapping[str, Mapping[str, Value]]) -> Any:
    """An option; the same one for the same values, since options cannot change."""
    nested = tuple(path for path in below if path.startswith(f"{key}."))
    given = {path: below[path] for path in (key, *nested) if path in below}
    return _made(key, root, json.dumps(kind), json.dumps(given))  # type: ignore[arg-type]  # classes are hashable


@lru_cache(maxsize=20_000)
def _made(key: str, root: Hashable, kind_text: str, given_text: str) -> Any:
    below: dict[str, dict[str, Value]] = json.loads(given_text)
    kinds = _kinds(root)
    kind: Any = kinds[json.loads(kind_text)] if kinds else root
    names = {field.name for field in dataclasses.fields(kind)}
    given: dict[str, Any] = {}
    for name, value in below.get(key, {}).items():
        path = f"{key}.{name}"
        if name not in names:
            has = ", ".join(sorted(names)) or "none"
            raise UserError(f"{path} is set, but {kind.__name__} has no such option; its options are {has}")
        hint = _hints(kind)[name]
        given[name] = _option(path, hint, value, below) if _kinds(hint) else _converted(path, hint, value)
    try:
        return kind(**given)
    except ValueError as error:
        raise UserError(f"{key}.{error}") from error


@cache
def _kinds(hint: Any) -> dict[str, type[Any]]:
    """Variants by class name; none where it is no base of variants."""
    return {kind.__name__: kind for kind in variants_of(hint)} if isinstance(hint, type) else {}


def _converted(key: str, hint: Any, value: Value) -> Any:
    """A value as its type has it: lists as tuples."""
    try:
        return _adapter(hint).validate_json(json.dumps(value))
    except ValidationError as error:
        raise UserError(f"{key} is {value}; it takes {accepted(hint)}") from error


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint, config=ConfigDict(strict=True))
