"""HTML and SVG elements as text: whatever is not markup already is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable

VOID = frozenset({"br", "circle", "line", "path", "rect"})
"""Elements without an end tag; those of SVG end themselves unless they have children."""


class Markup(str):
    """Text that ``tag`` puts into a page as it is."""

    __slots__ = ()


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """An element.

    Args:
        name: Its name.
        children: Markup, or plain text, which is escaped.
        attributes: By name, with ``_`` for ``-`` and one at the end left out (``class_``, ``aria_label``); numbers
            get up to two decimals, None leaves the attribute out.
    """
    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Markup(f"<{name}{text}/>")
    return Markup(f"<{name}{text}>{joined(children)}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Parts one after the other; those that are not markup are escaped."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part) for part in parts))


def table(
    caption: str, head: Iterable[str], rows: Iterable[Iterable[str]], *, class_: str = "figures", foot: int = 0
) -> Markup:
    """A table whose first column heads its rows, in a box that scrolls sideways where it is too wide.

    Args:
        caption: Its caption, and the name of the box.
        head: Cells of its head.
        rows: Cells of its rows.
        class_: Class of the table.
        foot: How many rows at the end sum up.
    """
    lines = [
        tag("tr", *(tag("th", cell, scope="row") if i == 0 else tag("td", cell) for i, cell in enumerate(row)))
        for row in rows
    ]
    body, footing = (lines[:-foot], lines[-foot:]) if foot else (lines, [])
    return tag(
        "div",
        tag(
            "table",
            tag("caption", caption),
            tag("thead", tag("tr", *(tag("th", cell, scope="col") for cell in head))),
            tag("tbody", *body),
            *([tag("tfoot", *footing)] if footing else []),
            class_=class_,
        ),
        class_="wide",
        tabindex=0,
        role="region",
        aria_label=caption,
    )


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return html.escape(value)
    return f"{value:.2f}".rstrip("0").rstrip(".")
