"""Values of a parameter as positions on an axis."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

FEW = 6
"""Numbers that take no more values than this are shown as names."""
DECADES = 1.5
"""Positive numbers that span more are shown by their logarithm."""


@dataclass(frozen=True)
class Axis:
    """An axis for the values of one parameter.

    Attributes:
        kind: ``category``, ``linear`` or ``log``; Plotly's names.
        names: Of a category axis: its values as text, in order.
        low: Of a number axis: the least value.
        high: The largest.
    """

    kind: str
    names: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0

    def place(self, value: JsonValue) -> Any:
        """What Plotly is given for a value."""
        return text_of(value) if self.kind == "category" else value

    def share(self, value: JsonValue) -> float:
        """The same as a position between 0 and 1."""
        if self.kind == "category":
            return self.names.index(text_of(value)) / max(1, len(self.names) - 1)
        low, high, at = (self._scaled(float(number)) for number in (self.low, self.high, value))  # type: ignore[arg-type]
        return (at - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Positions between 0 and 1, and what stands there."""
        if self.kind == "category":
            return [(self.share(name), name) for name in self.names]
        middle = math.sqrt(self.low * self.high) if self.kind == "log" else (self.low + self.high) / 2
        return [(self.share(number), f"{number:.3g}") for number in (self.low, middle, self.high)]

    def _scaled(self, number: float) -> float:
        return math.log(number) if self.kind == "log" else number


def axis_of(values: Sequence[JsonValue]) -> Axis:
    """The axis that shows these values.

    Args:
        values: At least one.
    """
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    distinct = {text_of(value) for value in values}
    if len(numbers) < len(values) or len(distinct) <= FEW:
        if len(numbers) == len(values):
            return Axis("category", tuple(text_of(value) for value in sorted(set(numbers))))
        return Axis("category", tuple(sorted(distinct)))
    low, high = float(min(numbers)), float(max(numbers))
    return Axis("log" if low > 0 and high / low > 10**DECADES else "linear", (), low, high)


def text_of(value: JsonValue) -> str:
    """A value for people: numbers with four digits, the end of a path, the rest as JSON has it."""
    if isinstance(value, str):
        return value.rsplit("/", 1)[-1]
    if isinstance(value, float):
        return f"{value:.4g}"
    return json.dumps(value)
