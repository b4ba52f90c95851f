"""Values of a parameter as positions on an axis, by what the parameter can be."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import JsonValue

from redsm5.hpo_report.models import Domain

FEW = 12
"""A range with no more values than this is shown by its values."""
RANGES = 10
"""Cells of a wider one."""


@dataclass(frozen=True)
class Axis:
    """An axis for the values of one parameter.

    Attributes:
        domain: What the parameter can be.
    """

    domain: Domain

    @property
    def kind(self) -> str:
        """``category``, ``linear`` or ``log``; Plotly's names."""
        return "category" if self.domain.choices else "log" if self.domain.log else "linear"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of its cells, all different: its values, or equal ranges of numbers."""
        return distinct_names(self.domain.choices) if self.domain.choices else _range_names(self._edges, self.domain)

    def place(self, value: JsonValue) -> Any:
        """What Plotly is given for a value."""
        return self.names[self.cell(value)] if self.domain.choices else value

    def cell(self, value: JsonValue) -> int:
        """Which cell a value is in."""
        if self.domain.choices:
            return self._index[_key(value)]
        inner = self._edges[1:-1]
        return sum(edge <= value for edge in inner)  # type: ignore[operator]

    def share(self, value: JsonValue) -> float:
        """A value as a position between 0 and 1."""
        if self.domain.choices:
            return self.cell(value) / max(1, len(self.domain.choices) - 1)
        low, high, at = (self._scaled(float(number)) for number in (self.domain.low, self.domain.high, value))  # type: ignore[arg-type]
        return (at - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Positions between 0 and 1, and what stands there."""
        if self.domain.choices:
            return [(self.share(value), name) for value, name in zip(self.domain.choices, self.names, strict=True)]
        low, high = self.domain.low, self.domain.high
        middle = math.sqrt(low * high) if self.domain.log else (low + high) / 2
        return [(self.share(number), f"{number:.3g}") for number in (low, middle, high)]

    @cached_property
    def _index(self) -> dict[str, int]:
        return {_key(value): place for place, value in enumerate(self.domain.choices)}

    @cached_property
    def _edges(self) -> tuple[float, ...]:
        """Where its ranges begin, and where the last one ends; of whole numbers the latter is one too large."""
        low, high = self._scaled(self.domain.low), self._scaled(self.domain.high + self.domain.whole)
        back = math.exp if self.domain.log else float
        edges = [back(low + (high - low) * place / RANGES) for place in range(1, RANGES)]
        if self.domain.whole:
            edges = sorted({float(round(edge)) for edge in edges} - {self.domain.low})
        return (self.domain.low, *edges, self.domain.high + self.domain.whole)

    def _scaled(self, number: float) -> float:
        return math.log(number) if self.domain.log else number


def domain_of(distribution: BaseDistribution) -> Domain:
    """What a parameter can be, by what it is drawn from."""
    if isinstance(distribution, CategoricalDistribution):
        return Domain(choices=list(distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, step, whole = distribution.low, distribution.high, distribution.step, isinstance(distribution.low, int)
    if step is not None and (high - low) / step < FEW:
        return Domain(choices=[min(high, low + step * place) for place in range(round((high - low) / step) + 1)])
    return Domain(choices=[], low=low, high=high, log=distribution.log, whole=whole)


def distinct_names(values: Sequence[JsonValue]) -> tuple[str, ...]:
    """Values for people, in full where the short forms of two are the same."""
    short = [text_of(value) for value in values]
    return tuple(
        name if short.count(name) == 1 else value if isinstance(value, str) else json.dumps(value)
        for name, value in zip(short, values, strict=True)
    )


def text_of(value: JsonValue) -> str:
    """A value for people: numbers with four digits, the end of a path, the rest as JSON has it."""
    if isinstance(value, str):
        return value.rsplit("/", 1)[-1]
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value)


def _key(value: JsonValue) -> str:
    """A value as it is looked up: multiples of a step differ in their last bits by how they were computed."""
    return f"{value:#.12g}" if isinstance(value, float) else json.dumps(value)


def _range_names(edges: Sequence[float], domain: Domain) -> tuple[str, ...]:
    if domain.whole:
        ends = [(int(low), int(high) - 1) for low, high in pairwise(edges)]
        return tuple(f"{low}" if low == high else f"{low} to {high}" for low, high in ends)
    for digits in range(2, 18):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    return tuple(f"{low} to {high}" for low, high in pairwise(texts))
