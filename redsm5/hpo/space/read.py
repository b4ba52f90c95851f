"""A search space from its YAML file; what is wrong there is one sentence with file and key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from redsm5.errors import UserError
from redsm5.hpo.space.space import (
    SPACE_VERSION,
    Choices,
    Distribution,
    Fixed,
    Float,
    Int,
    Parameter,
    Scalar,
    Space,
    Value,
)

TOP = ("version", "extends", "only", "lists", "groups")
KEYS = (
    "path", "choices", "value", "low", "high", "log", "step", "type", "when", "unless", "scale", "requires", "help",
)  # fmt: skip
REQUIREMENTS = ("cuda", "texts")
"""What a parameter or a choice may need: a GPU; texts of the domain in the base config."""
EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")
"""A number to everybody but YAML 1.1, which wants a point in it."""


def read_space(source: str | Path) -> Space:
    """Read a space.

    Args:
        source: The file.

    Raises:
        UserError: It cannot be read, or is no space; one sentence with the file, the key and what to do.
    """
    path = Path(source)
    merged = _merged(path, ())
    parameters = [
        _parameter(path, group, name, body) for group, bodies in merged.items() for name, body in bodies.items()
    ]
    return ordered(parameters, str(path))


def ordered(parameters: Iterable[Parameter], source: str) -> Space:
    """The space of these parameters, parents first.

    Args:
        parameters: In the order that is kept otherwise.
        source: Their file.

    Raises:
        UserError: A condition names what is not searched, or conditions go round in a circle.
    """
    listed = tuple(parameters)
    space = Space(SPACE_VERSION, listed, source)
    for parameter in listed:
        for key in parameter.parents:
            meant = space.meant(key)
            if not meant:
                close = difflib.get_close_matches(key, [*space.by_name, *space.by_path], n=1)
                hint = f"did you mean {close[0]}?" if close else "name a parameter of the space, or its path"
                raise UserError(f"{source}: {parameter.name} depends on {key}, which is not searched; {hint}")
            for values in (parameter.when.get(key), parameter.unless.get(key), (parameter.scale or {}).get(key)):
                _refuse_impossible(source, parameter, key, meant, tuple(values or ()))
    done: list[Parameter] = []
    names: set[str] = set()
    while len(done) < len(listed):
        ready = [
            parameter
            for parameter in listed
            if parameter.name not in names
            and all(other.name in names for key in parameter.parents for other in space.meant(key))
        ]
        if not ready:
            left = ", ".join(parameter.name for parameter in listed if parameter.name not in names)
            raise UserError(f"{source}: the conditions of {left} go round in a circle; take one of them out")
        done.append(ready[0])  # the first: the order of the file stays as far as it can
        names.add(ready[0].name)
    return Space(SPACE_VERSION, tuple(done), source)


def _refuse_impossible(
    source: str, parameter: Parameter, key: str, meant: tuple[Parameter, ...], values: tuple[Scalar, ...]
) -> None:
    """Refuse a condition that can never hold, since what it names never has the value."""
    possible: list[Scalar] = []
    for other in meant:
        match other.distribution:
            case Choices() as choices:
                possible += choices.drawn
            case Fixed(value):
                possible.append(value if not isinstance(value, list) else str(value))
            case Float() | Int():
                return
    for value in values:
        if value not in possible:
            shown = ", ".join(_shown(v) for v in possible)
            raise UserError(f"{source}: {parameter.name} depends on {key} being {_shown(value)}; it takes {shown}")


def _merged(path: Path, before: tuple[Path, ...]) -> dict[str, dict[str, dict[str, Any]]]:
    """The bodies by group and name, laid over those of the file that it extends."""
    tree = _read(path)
    _known(path, "", tree, TOP)
    if tree.get("version", SPACE_VERSION) != SPACE_VERSION:
        raise UserError(f"{path}: version is {tree['version']}; this redsm5 reads version {SPACE_VERSION}")
    groups = _mapping(path, "groups", tree.get("groups", {}))
    below = _extended(path, tree, before)
    where = {name: group for group, bodies in below.items() for name in bodies}
    for group, bodies in groups.items():
        for name, body in _mapping(path, str(group), bodies).items():
            if not re.fullmatch(r"[a-z][a-z0-9_]*", str(name)):
                raise UserError(
                    f"{path}: the name {name} in {group} is not made of small letters, digits and _; rename it"
                )
            old = where.get(name)
            if body is None:
                if old is None:
                    raise UserError(f"{path}: {group}.{name} is empty; give it a path and a distribution")
                del below[old][name], where[name]
                continue
            body = _mapping(path, f"{group}.{name}", body)
            _known(path, f"{group}.{name}", body, KEYS)
            if old is not None and "extends" not in tree:
                raise UserError(f"{path}: {name} is in {old} and in {group}; give one of them another name")
            laid = _laid(below[old].pop(name) if old is not None else {}, body)
            below.setdefault(str(group), {})[str(name)] = laid
            where[str(name)] = str(group)
    return {group: bodies for group, bodies in below.items() if bodies}


def _laid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """One body over another: keys that are null go, and so does a distribution of another kind."""
    kinds = (("choices",), ("value",), ("low", "high", "log", "step", "type"))
    gone = {key for kind in kinds if not above.keys() & set(kind) for key in kind}
    if not any(above.keys() & set(kind) for kind in kinds):
        gone = set()
    laid = {**{key: value for key, value in below.items() if key not in gone}, **above}
    return {key: value for key, value in laid.items() if value is not None or key == "value"}


def _extended(path: Path, tree: Mapping[str, Any], before: tuple[Path, ...]) -> dict[str, dict[str, dict[str, Any]]]:
    if "extends" not in tree:
        if "only" in tree:
            raise UserError(f"{path}: only is set without extends; name the space that it chooses from")
        return {}
    base = path.parent / str(tree["extends"])
    if base.resolve() in (*before, path.resolve()):
        raise UserError(f"{path}: extends goes round in a circle; take one of them out")
    below = _merged(base, (*before, path.resolve()))
    if "only" not in tree:
        return below
    only = _flattened(tree["only"]) if isinstance(tree["only"], list) else [None]
    if not all(isinstance(name, str) for name in only):
        raise UserError(f"{path}: only is {_shown(tree['only'])}; give a list of names")
    known = {name for bodies in below.values() for name in bodies}
    for name in only:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; take it out"
            raise UserError(f"{path}: only names {name}, which {base} does not have{hint}")
    return {group: {name: body for name, body in bodies.items() if name in only} for group, bodies in below.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"there is no search space {path}; configs/hpo/ holds those to start from") from None
    except OSError as error:
        raise UserError(f"the search space {path} cannot be read: {error.strerror}; give another file") from None
    except UnicodeDecodeError:
        raise UserError(f"the search space {path} is not UTF-8 text; save it as UTF-8") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", "unreadable")
        raise UserError(f"the search space {path} is not YAML{where}: {problem}; put that right") from None
    if not isinstance(tree, dict):
        raise UserError(f"the search space {path} holds no keys; it is a mapping such as configs/hpo/space.yaml")
    if "groups" not in tree and "extends" not in tree:
        raise UserError(
            f"{path}: there is no groups; a space has its parameters below it, as configs/hpo/space.yaml has"
        )
    return tree


def _parameter(path: Path, group: str, name: str, body: Mapping[str, Any]) -> Parameter:
    key = f"{group}.{name}"
    distribution, requirements = _distribution(path, key, body)
    for field in ("path", "help"):
        if not isinstance(body.get(field, ""), str):
            raise UserError(f"{path}: {key}.{field} is {_shown(body[field])}; give text")
    if not body.get("path") and isinstance(distribution, Fixed):
        raise UserError(f"{path}: {key} is a fixed value without a path; say which key of the config it sets")
    requires = body.get("requires")
    if requires is not None and requires not in REQUIREMENTS:
        raise UserError(f"{path}: {key}.requires is {_shown(requires)}; it takes {' or '.join(REQUIREMENTS)}")
    return Parameter(
        name=name,
        path=body.get("path", ""),
        distribution=distribution,
        when=_conditions(path, f"{key}.when", body.get("when", {})),
        unless=_conditions(path, f"{key}.unless", body.get("unless", {})),
        scale=_scale(path, f"{key}.scale", body.get("scale"), distribution),
        group=group,
        requires=requires,
        choices_require=requirements,
        help=body.get("help", ""),
    )


def _distribution(path: Path, key: str, body: Mapping[str, Any]) -> tuple[Distribution, dict[int, str]]:
    kinds = [kind for kind in ("choices", "value", "low") if kind in body]
    if len(kinds) != 1:
        both = f"has {' and '.join(kinds)}" if kinds else "has no distribution"
        raise UserError(f"{path}: {key} {both}; give choices, or low and high, or a fixed value")
    ranged = [field for field in ("high", "log", "step", "type") if field in body]
    if kinds != ["low"] and ranged:
        raise UserError(f"{path}: {key}.{ranged[0]} goes with low; take it out, or give low and high for {kinds[0]}")
    if kinds == ["value"]:
        return Fixed(_number(body["value"])), {}
    if kinds == ["choices"]:
        return _choices(path, f"{key}.choices", body["choices"])
    return _range(path, key, body), {}


def _choices(path: Path, key: str, listed: Any) -> tuple[Choices, dict[int, str]]:
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{path}: {key} is {_shown(listed)}; give a list of values")
    values: list[Value] = []
    requirements: dict[int, str] = {}
    for value in listed:
        if isinstance(value, dict):
            if value.keys() != {"value", "requires"} or value["requires"] not in REQUIREMENTS:
                needs = " or ".join(REQUIREMENTS)
                raise UserError(
                    f"{path}: a choice in {key} has the keys value and requires, of which that takes {needs}"
                )
            requirements[len(values)] = value["requires"]
            value = value["value"]
        values.append(_number(value))
    for index, value in enumerate(values):
        if value in values[:index]:
            raise UserError(f"{path}: {key} has {_shown(value)} twice; take one out")
    return Choices(tuple(values)), requirements


def _range(path: Path, key: str, body: Mapping[str, Any]) -> Float | Int:
    low, high, step = _number(body["low"]), _number(body.get("high")), _number(body.get("step"))
    log, kind = body.get("log", False), body.get("type")
    for name, value in (("low", low), ("high", high), ("step", step)):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number and not (name == "step" and value is None):
            raise UserError(f"{path}: {key}.{name} is {_shown(value)}; give a number")
    if not isinstance(log, bool):
        raise UserError(f"{path}: {key}.log is {_shown(log)}; it takes true or false")
    if kind not in (None, "int", "float"):
        raise UserError(f"{path}: {key}.type is {_shown(kind)}; it takes int or float")
    assert isinstance(low, (int, float))
    assert isinstance(high, (int, float))
    assert not isinstance(step, (str, list))
    if not low < high:
        raise UserError(f"{path}: {key}.low is {low} and high is {high}; low must be below high")
    if log and (low <= 0 or step is not None):
        raise UserError(f"{path}: {key}.log is true; low must be above 0 then, and there is no step")
    if step is not None and step <= 0:
        raise UserError(f"{path}: {key}.step is {step}; it must be above 0")
    whole = [value for value in (low, high, step) if value is not None and float(value).is_integer()]
    if kind == "int" and len(whole) < (2 if step is None else 3):
        raise UserError(f"{path}: {key}.type is int; low, high and step must be whole numbers")
    if kind == "int" or (
        kind is None and isinstance(low, int) and isinstance(high, int) and not isinstance(step, float)
    ):
        return Int(int(low), int(high), log, 1 if step is None else int(step))
    return Float(float(low), float(high), log, None if step is None else float(step))


def _conditions(path: Path, key: str, given: Any) -> dict[str, tuple[Scalar, ...]]:
    found: dict[str, tuple[Scalar, ...]] = {}
    for name, values in _mapping(path, key, given).items():
        listed = values if isinstance(values, list) else [values]
        plain = [_number(value) for value in _flattened(listed)]
        if not plain or any(isinstance(value, (list, dict)) for value in plain):
            raise UserError(f"{path}: {key}.{name} is {_shown(values)}; give a value, or a list of values")
        found[str(name)] = tuple(value for value in plain if not isinstance(value, list))
    return found


def _flattened(values: list[Any]) -> list[Any]:
    """Lists that were named by an anchor stand inside the list."""
    return [inner for value in values for inner in (value if isinstance(value, list) else [value])]


def _scale(path: Path, key: str, given: Any, distribution: Distribution) -> dict[str, dict[Scalar, float]] | None:
    if given is None:
        return None
    if not isinstance(distribution, Float):
        raise UserError(f"{path}: {key} goes with a range of floats; take it out")
    found: dict[str, dict[Scalar, float]] = {}
    for name, factors in _mapping(path, key, given).items():
        found[str(name)] = {}
        for value, factor in _mapping(path, f"{key}.{name}", factors).items():
            number = _number(factor)
            if not isinstance(number, (int, float)) or isinstance(number, bool) or not number > 0:
                raise UserError(f"{path}: {key}.{name}.{value} is {_shown(factor)}; give a number above 0")
            found[str(name)][value] = float(number)
    return found


def _mapping(path: Path, key: str, value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{path}: {key} is {_shown(value)}; give keys and values below it")
    return value


def _known(path: Path, key: str, body: Mapping[Any, Any], known: tuple[str, ...]) -> None:
    for name in body:
        if name not in known:
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"the keys there are {', '.join(known)}"
            raise UserError(f"{path}: there is no key {f'{key}.' if key else ''}{name}; {hint}")


def _number(value: Any) -> Any:
    """A value; a number such as 1e-6, which YAML takes for text, as the number that it is."""
    if isinstance(value, list):
        return [_number(part) for part in value]
    return float(value) if isinstance(value, str) and EXPONENT.fullmatch(value) else value


def _shown(value: object) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
