"""One parameter at a time: the values of the trials over it."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import mean

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from redsm5.hpo_report.axes import Axis
from redsm5.hpo_report.figures import STATES, brief, figure
from redsm5.hpo_report.leading import leading, valued
from redsm5.hpo_report.models import SearchReport
from redsm5.hpo_report.tables import Table, number

SLICES = 9
LABELS, LABEL = 12, 15
"""Names below a picture, and their characters."""


def slices(report: SearchReport) -> go.Figure:
    """Values over each of the most important parameters."""
    names = leading(report)[:SLICES]
    columns = min(3, len(names))
    lines = math.ceil(len(names) / columns)
    made = make_subplots(rows=lines, cols=columns, horizontal_spacing=0.07, vertical_spacing=0.38 / lines)
    for place, name in enumerate(names):
        rows = [row for row in valued(report) if name in row.params]
        axis = Axis(report.domains[name])
        where = {"row": place // columns + 1, "col": place % columns + 1}
        for state in ("PRUNED", "COMPLETE"):
            shown = [row for row in rows if row.state == state]
            made.add_scatter(
                x=[brief(axis.place(row.params[name])) for row in shown],
                y=[brief(row.value) for row in shown],
                mode="markers",
                marker={"color": STATES[state][1], "size": 4},
                opacity=0.6,
                name=STATES[state][0],
                legendgroup=state,
                showlegend=place == 0,
                text=[f"trial {row.trial}" for row in shown],
                **where,
            )
        made.update_xaxes(title=name, type=axis.kind, **where)
        if axis.kind == "category":
            made.update_xaxes(categoryorder="array", categoryarray=list(axis.names), **where)
            named = axis.names[:: math.ceil(len(axis.names) / LABELS)]  # the table has all
            made.update_xaxes(range=[-0.5, len(axis.names) - 0.5], tickvals=list(named), **where)
            made.update_xaxes(ticktext=[_label(name) for name in named], tickfont={"size": 10}, **where)
        elif axis.kind == "log" and axis.domain.high >= 100 * axis.domain.low:
            made.update_xaxes(dtick=1, **where)  # powers of ten: what Plotly puts between them has no room
    made.update_layout(figure(90 + 290 * lines).layout)
    made.update_xaxes(automargin=True, title_standoff=4, exponentformat="e")
    made.update_yaxes(automargin=True)
    made.update_yaxes(title=report.study.objective, col=1)
    return made


def slice_table(report: SearchReport) -> Table:
    """The same in numbers: a line per value, or range, that was tried."""
    best = min if report.study.direction == "minimize" else max
    lines = []
    for name in leading(report)[:SLICES]:
        axis, cells = Axis(report.domains[name]), defaultdict[int, list[float]](list)
        for row in valued(report):
            if name in row.params:
                cells[axis.cell(row.params[name])].append(row.value or 0.0)
        lines += [
            (name, axis.names[cell], str(len(values)), number(mean(values)), number(best(values)))
            for cell, values in sorted(cells.items())
        ]
    objective = report.study.objective
    return Table(("parameter", "value", "trials", f"mean {objective}", f"best {objective}"), tuple(lines))


def _label(name: str) -> str:
    """A name with both of its ends: there is no room for a long one below a small picture."""
    return name if len(name) <= LABEL else f"{name[: LABEL // 2]}…{name[-(LABEL - LABEL // 2 - 1) :]}"
