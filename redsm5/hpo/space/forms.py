"""A space as plain JSON, which a study keeps, and a space without what this machine or config does not have."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

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
)

WHY = {"cuda": "this machine has no CUDA device", "texts": "the base config has no pretraining.texts"}
"""Why a requirement is not met."""


def to_json(space: Space) -> dict[str, Any]:
    """The space in plain values.

    Args:
        space: The space.
    """
    return {"version": space.version, "parameters": [_plain(parameter) for parameter in space.parameters]}


def from_json(plain: Mapping[str, Any], source: str = "the space of the study") -> Space:
    """The space that ``to_json`` made plain.

    Args:
        plain: What it gave.
        source: For messages.

    Raises:
        UserError: It is of another version, or damaged.
    """
    if plain.get("version") != SPACE_VERSION:
        version = plain.get("version")
        raise UserError(f"{source} has version {version}; this redsm5 reads version {SPACE_VERSION}: start a new study")
    try:
        return Space(SPACE_VERSION, tuple(_parameter(body) for body in plain["parameters"]), source)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{source} is damaged ({type(error).__name__}: {error}); start a new study") from error


def available(space: Space, there: Collection[str]) -> tuple[Space, list[str]]:
    """The space without what needs something that is not there.

    A parameter goes with the choices it needs, and what depends on it goes too. To be called once, when a study is
    made: a space never changes within it.

    Args:
        space: The space.
        there: Of ``cuda`` and ``texts``.

    Returns:
        The space, and a line about each thing that was left out.
    """
    lines: list[str] = []
    gone: set[str] = set()
    lost: dict[str, set[Scalar]] = {}
    kept: list[Parameter] = []
    for parameter in space.parameters:
        if parameter.requires is not None and parameter.requires not in there:
            lines.append(f"{parameter.name} is left out: {WHY[parameter.requires]}")
            gone.add(parameter.name)
            continue
        unmet = {index: need for index, need in parameter.choices_require.items() if need not in there}
        if isinstance(parameter.distribution, Choices) and unmet:
            drawn = parameter.distribution.drawn
            lost[parameter.name] = {drawn[index] for index in unmet}
            names = ", ".join(str(drawn[index]) for index in unmet)
            lines.append(f"{parameter.name} is drawn without {names}: {WHY[next(iter(unmet.values()))]}")
            left = [index for index in range(len(drawn)) if index not in unmet]
            if not left:
                gone.add(parameter.name)
                continue
            parameter = replace(
                parameter,
                distribution=Choices(tuple(parameter.distribution.values[index] for index in left)),
                choices_require={
                    left.index(index): need for index, need in parameter.choices_require.items() if index in left
                },
            )
        kept.append(parameter)
    return _without(space, kept, gone, lost, lines), lines


def _without(
    space: Space, kept: list[Parameter], gone: set[str], lost: Mapping[str, set[Scalar]], lines: list[str]
) -> Space:
    """Take out what depends on parameters or choices that are gone."""
    found: list[Parameter] = []
    for parameter in kept:
        when: dict[str, tuple[Scalar, ...]] = {}
        for key, values in parameter.when.items():
            meant = [other for other in space.meant(key) if other.name not in gone]
            missing: set[Scalar] = (
                set.intersection(*(lost.get(other.name, set()) for other in meant)) if meant else set()
            )
            when[key] = tuple(value for value in values if value not in missing) if meant else ()
        if not all(when.values()):
            gone.add(parameter.name)
            if parameter.searched:
                lines.append(f"{parameter.name} is left out with it")
            continue
        unless = {
            key: values
            for key, values in parameter.unless.items()
            if any(other.name not in gone for other in space.meant(key))
        }
        scale = {name: factors for name, factors in (parameter.scale or {}).items() if name not in gone}
        found.append(replace(parameter, when=when, unless=unless, scale=scale or None))
    return replace(space, parameters=tuple(found))


def _plain(parameter: Parameter) -> dict[str, Any]:
    scale = parameter.scale
    return {
        "name": parameter.name,
        "path": parameter.path,
        "distribution": _plain_distribution(parameter.distribution),
        "when": {key: list(values) for key, values in parameter.when.items()},
        "unless": {key: list(values) for key, values in parameter.unless.items()},
        # A key of an object in JSON is text, and a value that scales may be true.
        "scale": None
        if scale is None
        else {name: [[v, f] for v, f in factors.items()] for name, factors in scale.items()},
        "group": parameter.group,
        "requires": parameter.requires,
        "choices_require": [[index, need] for index, need in parameter.choices_require.items()],
        "help": parameter.help,
    }


def _plain_distribution(distribution: Distribution) -> dict[str, Any]:
    match distribution:
        case Choices(values):
            return {"kind": "choices", "values": list(values)}
        case Fixed(value):
            return {"kind": "fixed", "value": value}
        case Float(low, high, log, step):
            return {"kind": "float", "low": low, "high": high, "log": log, "step": step}
        case Int(low, high, log, int_step):
            return {"kind": "int", "low": low, "high": high, "log": log, "step": int_step}


def _parameter(body: Mapping[str, Any]) -> Parameter:
    scale = body["scale"]
    return Parameter(
        name=body["name"],
        path=body["path"],
        distribution=_distribution(body["distribution"]),
        when={key: tuple(values) for key, values in body["when"].items()},
        unless={key: tuple(values) for key, values in body["unless"].items()},
        scale=None if scale is None else {name: dict(map(tuple, factors)) for name, factors in scale.items()},
        group=body["group"],
        requires=body["requires"],
        choices_require=dict(map(tuple, body["choices_require"])),
        help=body["help"],
    )


def _distribution(body: Mapping[str, Any]) -> Distribution:
    fields = {name: value for name, value in body.items() if name != "kind"}
    match body["kind"]:
        case "choices":
            return Choices(tuple(fields["values"]))
        case "fixed":
            return Fixed(fields["value"])
        case "float":
            return Float(**fields)
        case "int":
            return Int(**fields)
        case kind:
            raise ValueError(f"no distribution {kind}")
