"""A chart as inline SVG: a frame with ticks, and what is drawn into it. Colours come from the page's style."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from redsm5.report.markup import Markup, tag

LEFT, RIGHT, TOP, BOTTOM = 40, 14, 10, 34
"""Margins in units of the view box, for ticks and names of the axes."""


@dataclass(frozen=True)
class Chart:
    """A frame for values between the first and the last tick of each axis.

    Attributes:
        title: What it shows, in a few words: its name for those who do not see it.
        x_name: Name of the horizontal axis.
        y_name: Name of the vertical axis.
        x_ticks: Ticks of the horizontal axis.
        y_ticks: Of the vertical axis.
        width: Of the view box.
        height: Of the view box.
        strip: Height left free between the values and the horizontal axis.
    """

    title: str
    x_name: str
    y_name: str
    x_ticks: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
    y_ticks: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0)
    width: int = 330
    height: int = 240
    strip: int = 0

    def x(self, value: float) -> float:
        """Where a value lies horizontally."""
        low, high = self.x_ticks[0], self.x_ticks[-1]
        return LEFT + (value - low) / (high - low) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value lies vertically."""
        low, high = self.y_ticks[0], self.y_ticks[-1]
        floor = self.height - BOTTOM - self.strip
        return floor - (value - low) / (high - low) * (floor - TOP)

    def draw(self, *parts: Markup) -> Markup:
        """The whole SVG: frame, ticks, names, and these parts over it."""
        return tag(
            "svg",
            *self._frame(),
            *parts,
            viewBox=f"0 0 {self.width} {self.height}",
            role="img",
            aria_label=self.title,
        )

    def line(self, points: Iterable[tuple[float, float]], class_: str) -> Markup:
        """Straight lines from point to point."""
        return tag("path", d="M" + " ".join(f"{_n(self.x(x))},{_n(self.y(y))}" for x, y in points), class_=class_)

    def steps(self, points: Sequence[tuple[float, float]], class_: str) -> Markup:
        """Steps from the left edge: up or down to a point's height first, then across to it.

        Of points above each other only the first and the last are drawn: heights between them lie on the way.
        """
        moves = [f"M{_n(LEFT)},{_n(self.y(points[0][1]))}"]
        for x, group in groupby(points, key=lambda point: point[0]):
            heights = [_n(self.y(y)) for _, y in group]
            moves += [f"V{heights[0]}", f"H{_n(self.x(x))}", *([f"V{heights[-1]}"] if len(heights) > 1 else [])]
        return tag("path", d="".join(moves), class_=class_)

    def dot(self, x: float, y: float, class_: str, said: str, radius: float = 4) -> Markup:
        """A point that says what it is when pointed at."""
        return tag("circle", tag("title", said), cx=self.x(x), cy=self.y(y), r=radius, class_=class_)

    def label(self, x: float, y: float, text: str, anchor: str = "middle", class_: str = "label") -> Markup:
        """Text at a place of the view box."""
        return tag("text", text, x=x, y=y, text_anchor=anchor, class_=class_)

    def _frame(self) -> list[Markup]:
        left, right, floor = LEFT, self.width - RIGHT, self.height - BOTTOM
        parts = []
        for value in self.y_ticks:
            parts.append(tag("line", x1=left, x2=right, y1=self.y(value), y2=self.y(value), class_="grid"))
            parts.append(self.label(left - 5, self.y(value) + 3.5, tick_text(value, self.y_ticks), "end"))
        for value in self.x_ticks:
            parts.append(tag("line", x1=self.x(value), x2=self.x(value), y1=floor, y2=floor + 4, class_="axis"))
            parts.append(self.label(self.x(value), floor + 15, tick_text(value, self.x_ticks)))
        parts.append(tag("line", x1=left, x2=right, y1=floor, y2=floor, class_="axis"))
        parts.append(self.label((left + right) / 2, self.height - 4, self.x_name))
        middle = (TOP + floor - self.strip) / 2
        turned = f"rotate(-90 9 {_n(middle)})"
        parts.append(tag("text", self.y_name, x=9, y=middle, text_anchor="middle", class_="label", transform=turned))
        return parts


def ticks(low: float, high: float, about: int = 4) -> tuple[float, ...]:
    """Round numbers, evenly spaced, from at or below ``low`` to at or above ``high``: about so many steps."""
    if not high > low:
        high = low + (abs(low) or 1.0)
    raw = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(i * step for i in range(first, last + 1))


def tick_text(value: float, among: Sequence[float]) -> str:
    """A tick with as many decimals as tell it from its neighbours; whole numbers have none."""
    if math.isclose(value, round(value), abs_tol=1e-9):
        return f"{round(value):,}"
    gap = min((b - a for a, b in pairwise(among)), default=1.0)
    digits = next((d for d in range(6) if abs(gap * 10**d - round(gap * 10**d)) < 1e-6), 6)
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
