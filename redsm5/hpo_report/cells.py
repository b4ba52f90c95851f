"""Two parameters at a time: the mean value of the trials in each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import plotly.graph_objects as go

from redsm5.hpo_report.axes import Axis
from redsm5.hpo_report.figures import figure
from redsm5.hpo_report.leading import COMMON, leading, valued
from redsm5.hpo_report.models import SearchReport, TrialRow
from redsm5.hpo_report.tables import Table, number

PAIRS = 3


def pairs(report: SearchReport) -> list[tuple[str, str]]:
    """The first pairs of parameters above the floor that are active together in enough trials."""
    rows = valued(report)
    found = []
    for first, second in combinations(leading(report)[: 2 * PAIRS], 2):
        together = sum(first in row.params and second in row.params for row in rows)
        if together >= COMMON * len(rows):
            found.append((first, second))
    return found[:PAIRS]


def heat_map(report: SearchReport, first: str, second: str) -> go.Figure:
    """Colours of the cells; those in which no trial is have none."""
    across, up = (Axis(report.domains[name]) for name in (first, second))
    grid = mean_grid(*_placed(report, first, second), (len(across.names), len(up.names)))
    made = figure(max(360, 150 + 18 * len(up.names)))
    made.add_heatmap(
        x=list(range(len(across.names))), y=list(range(len(up.names))),
        z=[[None if math.isnan(v) else float(f"{v:.4g}") for v in line] for line in grid.T.tolist()],
        colorscale="Cividis", colorbar={"title": {"text": f"mean {report.study.objective}", "side": "right"}},
        hoverongaps=False, xgap=1, ygap=1,
        hovertemplate=f"{first} %{{x}}<br>{second} %{{y}}<br>%{{z}}<extra></extra>",
    )  # fmt: skip
    made.update_layout(xaxis=_labels(first, across), yaxis=_labels(second, up))
    return made


def cell_table(report: SearchReport, first: str, second: str) -> Table:
    """The same in numbers."""
    across, up = (Axis(report.domains[name]) for name in (first, second))
    at, to, values = _placed(report, first, second)
    grid = mean_grid(at, to, values, (len(across.names), len(up.names)))
    within = list(zip(at, to, strict=True))
    lines = [
        (across.names[i], up.names[j], str(within.count((i, j))), number(float(grid[i, j])))
        for i, j in zip(*np.nonzero(~np.isnan(grid)), strict=True)
    ]
    return Table((first, second, "trials", f"mean {report.study.objective}"), tuple(lines))


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


def _placed(report: SearchReport, first: str, second: str) -> tuple[list[int], list[int], list[float]]:
    """Cells and values of the trials that have both."""
    rows: list[TrialRow] = [row for row in valued(report) if first in row.params and second in row.params]
    across, up = (Axis(report.domains[name]) for name in (first, second))
    at, to = ([axis.cell(row.params[name]) for row in rows] for axis, name in ((across, first), (up, second)))
    return at, to, [row.value or 0.0 for row in rows]


def _labels(name: str, axis: Axis) -> dict[str, object]:
    places = list(range(len(axis.names)))
    title = {"text": name, "standoff": 12}
    return {"title": title, "tickvals": places, "ticktext": list(axis.names), "showgrid": False, "automargin": True}
