"""How a criterion is called and marked on the view page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from redsm5.report.markup import Markup, tag
from redsm5.report.view_posts import criterion_marks

COLOURS = 9
"""Colours of the page's style, ``--c0`` and on; with more criteria they come again."""


@dataclass(frozen=True)
class CriterionKey:
    """A criterion: place among the outputs, title, and its two letters."""

    index: int
    title: str
    mark: str

    @property
    def colour(self) -> str:
        """The class that sets ``--c``."""
        return f"c{self.index % COLOURS}"

    def chip(self) -> Markup:
        """The mark in its colour, for the eye only."""
        return tag("span", self.mark, class_=f"chip plain {self.colour}", aria_hidden="true")

    def named(self) -> Markup:
        """Mark and title."""
        return tag("span", self.chip(), tag("span", self.title), class_="named")

    def button(self, outcome: str, said: str, *content: str) -> Markup:
        """A button that shows the posts of this criterion with this outcome; mark and title where it has no content."""
        return tag(
            "button",
            *(content or (self.named(),)),
            type="button",
            class_="jump",
            title=said,
            data_criterion=str(self.index),
            data_outcome=outcome,
        )


def criterion_keys(codes: Sequence[str], titles: Sequence[str]) -> tuple[CriterionKey, ...]:
    """One per criterion, in the order of the outputs."""
    marks = criterion_marks(codes)
    return tuple(CriterionKey(i, title, mark) for i, (title, mark) in enumerate(zip(titles, marks, strict=True)))
