"""The search space as data: parameters with distributions and conditions, in an order that parents come first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Scalar | list["Value"]
Conditions: TypeAlias = Mapping[str, tuple[Scalar, ...]]

SPACE_VERSION = 1


@dataclass(frozen=True)
class Choices:
    """One of a few values.

    Attributes:
        values: What is chosen from.
    """

    values: tuple[Value, ...]

    @cached_property
    def drawn(self) -> tuple[Scalar, ...]:
        """The same as a sampler and a database know them: lists as their JSON text."""
        return tuple(json.dumps(value) if isinstance(value, list) else value for value in self.values)


@dataclass(frozen=True)
class Float:
    """A number between two bounds.

    Attributes:
        low: The least.
        high: The largest, itself included.
        log: Whether its logarithm is even.
        step: Distance of the numbers that are drawn; None for all.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Int:
    """A whole number between two bounds.

    Attributes:
        low: The least.
        high: The largest, itself included.
        log: Whether its logarithm is even.
        step: Distance of the numbers that are drawn.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1


@dataclass(frozen=True)
class Fixed:
    """No dimension: what a setting must be where its conditions hold.

    Attributes:
        value: The value.
    """

    value: Value


Distribution: TypeAlias = Choices | Float | Int | Fixed


@dataclass(frozen=True)
class Parameter:
    """A dimension of the search.

    Attributes:
        name: Short and stable: a study keeps it.
        path: Dotted key of the config; empty for one that only others depend on.
        distribution: What it is drawn from.
        when: Parameters that must be active and have one of these values: by name, or by path, where one of several
            parameters of that path must.
        unless: Likewise, what must not be; a parameter that is not active has no value.
        scale: Factors on what is drawn, by the value of other parameters; 1 where there is none for it.
        group: Of the eight.
        requires: What must be there (``cuda``, ``texts``), or it is left out.
        choices_require: The same for single choices, by their index.
        help: What it is.
    """

    name: str
    path: str
    distribution: Distribution
    when: Conditions = field(default_factory=dict)
    unless: Conditions = field(default_factory=dict)
    scale: Mapping[str, Mapping[Scalar, float]] | None = None
    group: str = ""
    requires: str | None = None
    choices_require: Mapping[int, str] = field(default_factory=dict)
    help: str = ""

    @property
    def searched(self) -> bool:
        """Whether it is a dimension."""
        return not isinstance(self.distribution, Fixed)

    @property
    def parents(self) -> tuple[str, ...]:
        """Names and paths that it depends on."""
        return (*self.when, *self.unless, *(self.scale or ()))


@dataclass(frozen=True)
class Space:
    """Parameters, each behind those it depends on.

    Attributes:
        version: Of the form.
        parameters: In their order.
        source: The file it was read from, for messages.
        aliases: What stands in a config for a value: where on this machine an encoder is that the space names.
    """

    version: int
    parameters: tuple[Parameter, ...]
    source: str = field(default="the search space", compare=False)
    aliases: Mapping[str, str] = field(default_factory=dict, compare=False)

    @cached_property
    def by_name(self) -> dict[str, Parameter]:
        """Parameters by name."""
        return {parameter.name: parameter for parameter in self.parameters}

    @cached_property
    def by_path(self) -> dict[str, tuple[Parameter, ...]]:
        """Parameters by path; several where their conditions exclude each other."""
        found: dict[str, tuple[Parameter, ...]] = {}
        for parameter in self.parameters:
            if parameter.path:
                found[parameter.path] = (*found.get(parameter.path, ()), parameter)
        return found

    @property
    def searched(self) -> tuple[Parameter, ...]:
        """The dimensions."""
        return tuple(parameter for parameter in self.parameters if parameter.searched)

    def meant(self, key: str) -> tuple[Parameter, ...]:
        """The parameters that a name or a path stands for."""
        return (self.by_name[key],) if key in self.by_name else self.by_path.get(key, ())

    def active(self, values: Mapping[str, Scalar]) -> Iterator[Parameter]:
        """The parameters whose conditions hold, in their order.

        Args:
            values: Drawn values by name, of all that come before the one that is asked for: may grow between two.
        """
        seen: dict[str, tuple[bool, Scalar]] = {}
        for parameter, when, unless in self._rules:
            if not all(any(seen.get(name) in allowed for name in names) for names, allowed in when):
                continue
            if any(any(seen.get(name) in refused for name in names) for names, refused in unless):
                continue
            yield parameter
            if isinstance(parameter.distribution, Fixed):
                seen[parameter.name] = _told_apart(parameter.distribution.value)
            elif parameter.name in values:
                seen[parameter.name] = _told_apart(values[parameter.name])

    @cached_property
    def _rules(self) -> list[tuple[Parameter, list[_Rule], list[_Rule]]]:
        """Each parameter with its conditions, whose keys are names by now."""
        return [(p, self._resolved(p.when), self._resolved(p.unless)) for p in self.parameters]

    def _resolved(self, conditions: Conditions) -> list[_Rule]:
        return [
            (tuple(parameter.name for parameter in self.meant(key)), frozenset(_told_apart(value) for value in values))
            for key, values in conditions.items()
        ]


_Rule: TypeAlias = tuple[tuple[str, ...], frozenset[tuple[bool, Scalar]]]


def _told_apart(value: Value) -> tuple[bool, Scalar]:
    """A value that can be compared: true is not 1; a list as it is drawn."""
    return isinstance(value, bool), json.dumps(value) if isinstance(value, list) else value
