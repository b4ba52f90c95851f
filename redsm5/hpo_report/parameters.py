"""Pictures of what parameters did: slices, contours, parallel coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from redsm5.hpo_report.axes import Axis, axis_of, text_of
from redsm5.hpo_report.figures import STATES, figure
from redsm5.hpo_report.models import SearchReport, TrialRow
from redsm5.hpo_report.tables import Table, number

SLICES = 9
LINES = 7
"""Parameters in the picture of parallel coordinates."""
COMMON = 0.5
"""Share of the trials in which all of them must be active."""
PAIRS = 3
CELLS = 14
"""Of a contour, along an axis of numbers."""
FIFTHS = ("best fifth", "second", "third", "fourth", "last fifth")
COLOURS = ("#d1495b", "#c8741f", "#82878f", "#6f94b8", "#4c76a8")


def slices(report: SearchReport) -> go.Figure:
    """Values over each of the most important parameters."""
    names = [one.name for one in report.importances[:SLICES]]
    columns = min(3, len(names))
    lines = math.ceil(len(names) / columns)
    made = make_subplots(rows=lines, cols=columns, horizontal_spacing=0.07, vertical_spacing=0.3 / lines)
    for place, name in enumerate(names):
        rows = [row for row in _valued(report) if name in row.params]
        axis = axis_of([row.params[name] for row in rows])
        where = {"row": place // columns + 1, "col": place % columns + 1}
        for state in ("PRUNED", "COMPLETE"):
            shown = [row for row in rows if row.state == state]
            made.add_scatter(
                x=[axis.place(row.params[name]) for row in shown],
                y=[row.value for row in shown],
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
    made.update_layout(figure(90 + 250 * lines).layout)
    made.update_xaxes(automargin=True, title_standoff=4, nticks=6, exponentformat="e")
    made.update_yaxes(automargin=True)
    made.update_yaxes(title=report.study.objective, col=1)
    return made


def pairs(report: SearchReport) -> list[tuple[str, str]]:
    """The first pairs of important parameters that are active together in enough trials."""
    rows = _valued(report)
    found = []
    for first, second in combinations([one.name for one in report.importances[: 2 * PAIRS]], 2):
        together = sum(first in row.params and second in row.params for row in rows)
        if together >= COMMON * len(rows):
            found.append((first, second))
    return found[:PAIRS]


def contour(report: SearchReport, first: str, second: str) -> go.Figure:
    """The mean value of the trials in each cell of two parameters."""
    rows = [row for row in _valued(report) if first in row.params and second in row.params]
    (across, at), (up, to) = (cells([row.params[name] for row in rows]) for name in (first, second))
    grid = mean_grid(at, to, [row.value or 0.0 for row in rows], (len(across), len(up)))
    made = figure(400)
    made.add_heatmap(
        x=across, y=up, z=[[None if math.isnan(v) else v for v in line] for line in grid.T.tolist()],
        colorscale="Cividis", colorbar={"title": {"text": f"mean {report.study.objective}", "side": "right"}},
        hoverongaps=False, xgap=1, ygap=1,
    )  # fmt: skip
    made.update_layout(xaxis={"title": first, "type": "category"}, yaxis={"title": second, "type": "category"})
    return made


def cell_table(report: SearchReport, first: str, second: str) -> Table:
    """The same in numbers."""
    rows = [row for row in _valued(report) if first in row.params and second in row.params]
    (across, at), (up, to) = (cells([row.params[name] for row in rows]) for name in (first, second))
    values = [row.value or 0.0 for row in rows]
    grid = mean_grid(at, to, values, (len(across), len(up)))
    lines = [
        (across[i], up[j], str(sum(a == i and b == j for a, b in zip(at, to, strict=True))), number(float(grid[i, j])))
        for i, j in zip(*np.nonzero(~np.isnan(grid)), strict=True)
    ]
    return Table(f"{first} and {second}", (first, second, "trials", f"mean {report.study.objective}"), tuple(lines))


def cells(values: Sequence[object]) -> tuple[list[str], list[int]]:
    """Names of the cells along an axis, and the cell of each value: every name, or equal ranges of numbers."""
    axis: Axis = axis_of(values)  # type: ignore[arg-type]
    if axis.kind == "category":
        return list(axis.names), [axis.names.index(text_of(value)) for value in values]  # type: ignore[arg-type]
    spread = np.geomspace if axis.kind == "log" else np.linspace
    edges = spread(axis.low, axis.high, CELLS + 1)
    middles = np.sqrt(edges[1:] * edges[:-1]) if axis.kind == "log" else (edges[1:] + edges[:-1]) / 2
    where = np.clip(np.searchsorted(edges, np.asarray(values, dtype=float), side="right") - 1, 0, CELLS - 1)
    return [f"{middle:.2g}" for middle in middles], where.tolist()


def mean_grid(
    across: Sequence[int], up: Sequence[int], values: Sequence[float], shape: tuple[int, int]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Means by cell; NaN where none is in it.

    Args:
        across: Index of each value along the first axis.
        up: Along the second.
        values: As many.
        shape: Of the grid.
    """
    sums, counts = np.zeros(shape), np.zeros(shape)
    np.add.at(sums, (across, up), values)
    np.add.at(counts, (across, up), 1)
    with np.errstate(invalid="ignore"):
        return sums / counts


def line_names(report: SearchReport) -> list[str]:
    """The most important parameters that are active together in enough trials."""
    rows, found = _valued(report), list[str]()
    for one in report.importances:
        tried = [*found, one.name]
        if sum(all(name in row.params for name in tried) for row in rows) >= COMMON * len(rows):
            found = tried
        if len(found) == LINES:
            break
    return found


def parallel(report: SearchReport, names: Sequence[str]) -> go.Figure:
    """A line per complete trial across its parameters, by the fifth that its value is in.

    Plotly's own traces of this kind draw by WebGL, which neither prints nor runs everywhere.
    """
    rows = [row for row in _valued(report) if row.state == "COMPLETE" and all(name in row.params for name in names)]
    sign = 1 if report.study.direction == "minimize" else -1
    ranked = sorted(rows, key=lambda row: sign * (row.value or 0.0))
    axes = [axis_of([row.params[name] for row in rows]) for name in names]
    made = figure(460)
    for fifth in reversed(range(len(FIFTHS))):  # the best ones on top
        x: list[float | None] = []
        y: list[float | None] = []
        for place, row in enumerate(ranked):
            if min(len(FIFTHS) - 1, place * len(FIFTHS) // len(ranked)) == fifth:
                shift = (row.trial % 11 - 5) / 400  # equal ones beside each other
                x += [*range(len(names)), None]
                y += [*(axis.share(row.params[name]) + shift for axis, name in zip(axes, names, strict=True)), None]
        made.add_scatter(
            x=x, y=y, mode="lines", line={"color": COLOURS[fifth], "width": 1.6 if fifth == 0 else 0.9},
            opacity=0.9 if fifth == 0 else 0.45, name=FIFTHS[fifth], hoverinfo="skip",
        )  # fmt: skip
    for place, axis in enumerate(axes):
        for at, text in axis.ticks():
            made.add_annotation(
                x=place, y=at, text=text, showarrow=False, xanchor="left", xshift=4, font={"size": 11},
                bgcolor="rgba(128,128,128,0.16)",
            )  # fmt: skip
    made.update_layout(
        xaxis={"tickvals": list(range(len(names))), "ticktext": list(names), "range": [-0.15, len(names) - 0.5],
               "showgrid": True},
        yaxis={"visible": False, "range": [-0.06, 1.06]},
        legend={"traceorder": "reversed"},
    )  # fmt: skip
    return made


def _valued(report: SearchReport) -> list[TrialRow]:
    return [row for row in report.trials if row.value is not None and row.state != "FAIL"]
