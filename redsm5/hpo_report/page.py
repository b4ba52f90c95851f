"""The report as a page: one HTML file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from redsm5.hpo_report.models import SearchReport
from redsm5.hpo_report.sections import Section, sections
from redsm5.report.markup import Markup, joined, tag
from redsm5.report.markup import table as table_markup
from redsm5.report.view_page import embedded_json


def render(report: SearchReport) -> str:
    """The page.

    Its content security policy allows its own two scripts and no request.
    """
    folder = files("redsm5.hpo_report") / "page"
    style = (folder / "report.css").read_text(encoding="utf-8")
    script = (folder / "report.js").read_text(encoding="utf-8")
    library = get_plotlyjs()
    shown = sections(report)
    drawn = [None if one.draw is None else one.draw() for one in shown]
    return Template((folder / "report.html").read_text(encoding="utf-8")).substitute(
        policy=_policy(library, script),
        title=html.escape(f"Search {report.study.study}"),
        style=style,
        summary=tag("ul", *(tag("li", sentence) for sentence in report.summary)),
        contents=tag("ol", *(tag("li", tag("a", one.title, href=f"#s{n}")) for n, one in enumerate(shown))),
        sections=joined(_section(n, one, drawn[n]) for n, one in enumerate(shown)),
        facts=joined(tag("div", tag("dt", name), tag("dd", value)) for name, value in _facts(report)),
        data=embedded_json({"figures": {n: json.loads(one.to_json()) for n, one in enumerate(drawn) if one}}),
        library=library,
        script=script,
    )


def _section(number: int, section: Section, drawn: go.Figure | None) -> Markup:
    table = table_markup(section.title, section.table.head, section.table.rows)
    parts = [tag("h2", section.title)]
    if section.says:
        parts.append(tag("p", section.says))
    if drawn is not None:
        label = f"{section.title}: {section.says}"
        height = f"height:{drawn.layout.height}px"
        parts.append(tag("div", class_="plot", data_figure=str(number), style=height, role="img", aria_label=label))
    if drawn is not None or section.folded:
        rows = len(section.table.rows)
        table = tag("details", tag("summary", f"As a table ({rows} {'row' if rows == 1 else 'rows'})"), table)
    return tag("section", *parts, table, id=f"s{number}")


def _facts(report: SearchReport) -> list[tuple[str, str]]:
    study = report.study
    return [
        ("sampler", study.sampler),
        ("pruner", study.pruner),
        ("dimensions", str(study.dimensions)),
        ("seed", str(study.seed)),
        ("redsm5", study.redsm5),
        ("made", f"{report.created:%Y-%m-%d %H:%M} UTC"),
    ]


def _policy(*scripts: str) -> str:
    """Plotly writes styles of its own, and makes pictures to be saved; it needs nothing else."""
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )
