"""The report as a page: one HTML file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from redsm5.hpo_report import figures, parameters, tables
from redsm5.hpo_report.models import SearchReport
from redsm5.hpo_report.tables import Table
from redsm5.report.markup import Markup, joined, tag
from redsm5.report.markup import table as table_markup
from redsm5.report.view_page import embedded_json


@dataclass(frozen=True)
class Picture:
    """A picture with what it shows in a sentence, and its numbers as a table."""

    title: str
    says: str
    figure: go.Figure
    table: Table


def render(report: SearchReport) -> str:
    """The page.

    Its content security policy allows its own two scripts and no request.
    """
    folder = files("redsm5.hpo_report") / "page"
    style = (folder / "report.css").read_text(encoding="utf-8")
    script = (folder / "report.js").read_text(encoding="utf-8")
    library = get_plotlyjs()
    shown = pictures(report)
    figures_data = [json.loads(picture.figure.to_json()) for picture in shown]
    return Template((folder / "report.html").read_text(encoding="utf-8")).substitute(
        policy=_policy(library, script),
        title=html.escape(f"Search {report.study.study}"),
        style=style,
        summary=tag("ul", *(tag("li", sentence) for sentence in report.summary)),
        tables=joined(_tables(report)),
        contents=tag("ol", *(tag("li", tag("a", p.title, href=f"#p{n}")) for n, p in enumerate(shown))),
        pictures=joined(_section(number, picture) for number, picture in enumerate(shown)),
        facts=joined(tag("div", tag("dt", name), tag("dd", value)) for name, value in _facts(report)),
        data=embedded_json({"figures": figures_data}),
        library=library,
        script=script,
    )


def pictures(report: SearchReport) -> list[Picture]:
    """Those for which there are numbers, in the order of the page."""
    if not report.trials:
        return []
    objective = report.study.objective
    found = [
        Picture(
            "Values over trials",
            f"The best {objective} of each trial on the validation part, and the best so far of those that were "
            "trained to their end.",
            figures.history(report),
            tables.trial_table(report),
        )
    ]
    if report.study.front:
        found.append(
            Picture(
                "Pareto front",
                "Than a trial on the front none is better in one objective and as good in the others.",
                figures.front(report),
                tables.front_table(report),
            )
        )
    found += _of_parameters(report)
    found += [
        Picture(
            "Reports and pruning",
            f"{report.pruned_by} after every epoch. The pruner compares it with that of the other trials at the same "
            "epoch.",
            figures.intermediate(report),
            tables.curve_table(report),
        ),
        Picture(
            "How trials ended",
            "Epochs of the trials, by what ended them.",
            figures.endings(report),
            tables.ending_table(report),
        ),
        Picture("Durations", "Seconds of a trial, by state.", figures.durations(report), tables.ending_table(report)),
        Picture(
            "Where the time went",
            "Of all trials together. Of the time that the workers waited for one another it says nothing.",
            figures.times(report),
            tables.time_table(report),
        ),
    ]
    if any(row.memory_gb is not None for row in report.trials):
        found.append(
            Picture(
                "Memory",
                "The peak of each trial: of the GPU, without one of its process.",
                figures.memory(report),
                tables.memory_table(report),
            )
        )
    if report.study.reasons:
        found.append(
            Picture("Failures", "Failed trials by reason.", figures.failures(report), tables.reason_table(report))
        )
    return found


def _of_parameters(report: SearchReport) -> list[Picture]:
    if not report.importances:
        return []
    table = tables.importance_table(report)
    found = [
        Picture(
            "Importance of the parameters",
            "How much a parameter decides whether a trial is among the best tenth, within what was tried (PED-ANOVA). "
            "Green ones are active in some trials only, and are compared among those.",
            figures.importance_bars(report),
            table,
        ),
        Picture(
            "Importance of the groups",
            "The same, summed over the groups of the space.",
            figures.group_bars(report),
            tables.group_table(report),
        ),
    ]
    names = parameters.line_names(report)
    if len(names) > 1 and any(row.state == "COMPLETE" for row in report.trials):
        found.append(
            Picture(
                "The important parameters together",
                "A line per trial that was trained to its end and has all of these, by the fifth that its value is in.",
                parameters.parallel(report, names),
                tables.candidate_table(report) if report.candidates else table,
            )
        )
    found.append(
        Picture(
            "Slices",
            f"{report.study.objective} over the most important parameters, one at a time.",
            parameters.slices(report),
            table,
        )
    )
    for first, second in parameters.pairs(report):
        found.append(
            Picture(
                f"{first} and {second}",
                f"The mean {report.study.objective} of the trials in each cell; empty ones were never tried.",
                parameters.contour(report, first, second),
                parameters.cell_table(report, first, second),
            )
        )
    return found


def _tables(report: SearchReport) -> list[Markup]:
    wanted: list[Callable[[SearchReport], Table]] = [tables.requirement_table]
    if report.candidates:
        wanted.append(tables.candidate_table)
    shown = [_table(make(report)) for make in wanted]
    if report.same:
        same = tables.same_table(report)
        shown.append(tag("details", tag("summary", f"{same.caption} ({len(same.rows)})"), _table(same)))
    return shown


def _section(number: int, picture: Picture) -> Markup:
    height = picture.figure.layout.height
    return tag(
        "section",
        tag("h2", picture.title),
        tag("p", picture.says),
        tag(
            "div",
            class_="plot",
            data_figure=str(number),
            style=f"height:{height}px",
            role="img",
            aria_label=f"{picture.title}: {picture.says}",
        ),
        tag("details", tag("summary", "As a table"), _table(picture.table)),
        id=f"p{number}",
    )


def _table(table: Table) -> Markup:
    return table_markup(table.caption, table.head, table.rows)


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
