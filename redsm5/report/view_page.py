"""The view page: one HTML file with posts, spans, figures and curves; the one output that shows post text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from redsm5.atomic import write_text_atomically
from redsm5.report.markup import Markup, joined, tag

SCRIPTS = ("offsets.js", "list.js", "post.js", "verdicts.js", "tabs.js", "view.js")
"""The parts of the page's one script, in order; they share a scope, in which ``page`` is the data."""

POSTS = "Posts"
"""Name of the first panel, which the script fills."""


def write_view_page(
    path: Path,
    *,
    heading: str,
    facts: Sequence[tuple[str, str]],
    data: dict[str, Any],
    panels: Mapping[str, Markup],
) -> None:
    """Write the page, whole or not at all, readable by its owner only.

    The file needs no network and loads nothing: style, script and data stand in it, and its content security policy
    allows nothing else. Post text is data that the script shows as text, never as markup.

    Args:
        path: The file; its folder must exist.
        heading: The page's title, plain text.
        facts: Names and values at the head of the page.
        data: The posts, as of ``redsm5.report.view_posts.page_data``.
        panels: What stands beside the posts, by name, in the order of the tabs.

    Raises:
        UserError: The file cannot be written.
    """
    write_text_atomically(path, render_page(heading, facts, data, panels), mode=0o600)


def render_page(
    heading: str, facts: Sequence[tuple[str, str]], data: dict[str, Any], panels: Mapping[str, Markup]
) -> str:
    """The page as HTML, in ASCII; arguments as of ``write_view_page``."""
    folder = files("redsm5.report") / "page"
    style = (folder / "view.css").read_text(encoding="utf-8")
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    script = "\n".join(['const page = JSON.parse(document.getElementById("data").textContent);', *parts])
    return Template((folder / "view.html").read_text(encoding="utf-8")).substitute(
        policy=_policy(style, script),
        heading=_ascii(html.escape(heading)),
        style=style,
        facts=_ascii(joined(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)),
        tabs=_ascii(_tabs((POSTS, *panels)) if panels else ""),
        posts_role='role="tabpanel" aria-labelledby="tab-posts"' if panels else "",
        panels=_ascii(joined(_panel(name, content) for name, content in panels.items())),
        data=embedded_json(data),
        script=script,
    )


def embedded_json(data: dict[str, Any]) -> str:
    """JSON that can stand in a script element: ASCII, and without the characters that could end the element."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _tabs(names: Sequence[str]) -> Markup:
    buttons = (
        tag(
            "button",
            name,
            type="button",
            role="tab",
            id=f"tab-{name.lower()}",
            aria_controls=f"panel-{name.lower()}",
            aria_selected="true" if i == 0 else "false",
            tabindex=0 if i == 0 else -1,
        )
        for i, name in enumerate(names)
    )
    return tag("div", *buttons, class_="tabs screen-only", role="tablist", aria_label="Parts of this page")


def _panel(name: str, content: Markup) -> Markup:
    return tag(
        "section",
        content,
        class_="panel figures-panel",
        id=f"panel-{name.lower()}",
        role="tabpanel",
        aria_labelledby=f"tab-{name.lower()}",
        tabindex=-1,
        hidden="",
    )


def _ascii(markup: str) -> str:
    return markup.encode("ascii", "xmlcharrefreplace").decode("ascii")


def _policy(style: str, script: str) -> str:
    """Only our own style and script, by their hash, and no request at all; markup from strings is off too."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"

    return (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'"
    )
