"""A point of the space: what is active is drawn, and drawn values become settings of the config."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Protocol

from redsm5.errors import UserError
from redsm5.hpo.space.space import Choices, Fixed, Float, Int, Parameter, Scalar, Space, Value

CategoricalChoice = Scalar


class Suggests(Protocol):
    """What a point is drawn from, as ``optuna.Trial`` is."""

    def suggest_categorical(self, name: str, choices: Sequence[CategoricalChoice]) -> CategoricalChoice:
        """One of the choices."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number."""


def draw(space: Space, trial: Suggests) -> dict[str, Scalar]:
    """Draw a value for each active parameter.

    Args:
        space: The space; distributions depend on nothing else, since a study holds them to what they were.
        trial: Is asked for values.

    Returns:
        Values by name; lists as their JSON text, as the study keeps them.
    """
    values: dict[str, Scalar] = {}
    for parameter in space.active(values):
        if parameter.searched:
            values[parameter.name] = _suggested(parameter, trial)
    return values


def _suggested(parameter: Parameter, trial: Suggests) -> Scalar:
    match parameter.distribution:
        case Choices() as choices:
            return trial.suggest_categorical(parameter.name, choices.drawn)
        case Float(low, high, log, step):
            return trial.suggest_float(parameter.name, low, high, step=step, log=log)
        case Int(low, high, log, step):
            return trial.suggest_int(parameter.name, low, high, step=step, log=log)
        case Fixed():
            raise AssertionError(parameter.name)


def settings(space: Space, params: Mapping[str, Value]) -> dict[str, Value]:
    """The settings of a draw: dotted keys with values, what is fixed with it included, scaled.

    Args:
        space: The space.
        params: Values by name, as drawn.

    Returns:
        Values by key, options before their fields.

    Raises:
        UserError: Two active parameters set one key, or a value is missing or of no active parameter.
    """
    given = {name: _as_drawn(space, name, value) for name, value in params.items()}
    found: dict[str, Value] = {}
    owner: dict[str, str] = {}
    active = list(space.active(given))
    foreign = given.keys() - {parameter.name for parameter in active if parameter.searched}
    if foreign:
        raise UserError(f"{space.source} has no active parameter {min(foreign)} for these values; leave it out")
    for parameter in active:
        if parameter.searched and parameter.name not in given:
            raise UserError(f"{space.source} has a parameter {parameter.name} that is active here; give it a value")
        if not parameter.path:
            continue
        if parameter.path in owner:
            raise UserError(
                f"{space.source} sets {parameter.path} twice where {owner[parameter.path]} and {parameter.name} are "
                "both active; give them conditions that exclude each other"
            )
        owner[parameter.path] = parameter.name
        value = _setting(parameter, given)
        found[parameter.path] = space.aliases.get(value, value) if isinstance(value, str) else value
    return dict(sorted(found.items(), key=lambda item: item[0].count(".")))


def _setting(parameter: Parameter, given: Mapping[str, Scalar]) -> Value:
    distribution = parameter.distribution
    if isinstance(distribution, Fixed):
        return distribution.value
    value = given[parameter.name]
    if isinstance(distribution, Choices):
        for drawn, meant in zip(distribution.drawn, distribution.values, strict=True):
            if drawn == value and isinstance(drawn, bool) == isinstance(value, bool):
                return meant
        return value
    for other, factors in (parameter.scale or {}).items():
        if other in given and isinstance(value, (int, float)):
            factor = factors.get(given[other])
            value = value if factor is None else value * factor
    return value


def _as_drawn(space: Space, name: str, value: Value) -> Scalar:
    if not isinstance(value, list):
        return value
    parameter = space.by_name.get(name)
    if parameter is not None and isinstance(parameter.distribution, Choices) and value in parameter.distribution.values:
        return parameter.distribution.drawn[parameter.distribution.values.index(value)]
    raise UserError(f"{space.source} has no value {value} for {name}; take one of its choices")


class Chance:
    """Draws evenly, as ``Suggests``; what is forced is not drawn.

    Args:
        seed: Of what is drawn.
        forced: Values by name.
    """

    def __init__(self, seed: int, forced: Mapping[str, Scalar] | None = None) -> None:
        self._random = random.Random(seed)
        self._forced = forced or {}

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """One of the choices."""
        return self._forced[name] if name in self._forced else self._random.choice(choices)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number, even in its logarithm where asked."""
        forced = self._forced.get(name)
        if isinstance(forced, (int, float)):
            return forced
        if log:
            return float(low * (high / low) ** self._random.random())
        if step is None:
            return self._random.uniform(low, high)
        return low + step * self._random.randint(0, int((high - low) / step + 1e-9))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number."""
        forced = self._forced.get(name)
        if isinstance(forced, int):
            return forced
        if log:
            return min(high, int(low * ((high + 1) / low) ** self._random.random()))
        return self._random.randrange(low, high + 1, step)
