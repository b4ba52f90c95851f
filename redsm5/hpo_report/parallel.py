"""Several parameters together: a line per trial."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from redsm5.hpo_report.axes import Axis
from redsm5.hpo_report.figures import figure
from redsm5.hpo_report.leading import COMMON, leading, valued
from redsm5.hpo_report.models import SearchReport, TrialRow
from redsm5.hpo_report.tables import Table, number

LINES = 7
"""Parameters in the picture."""
LISTED = 25
"""Trials in its table."""
FIFTHS = ("best fifth", "second", "third", "fourth", "last fifth")
COLOURS = ("#d1495b", "#c8741f", "#82878f", "#6f94b8", "#4c76a8")


def line_names(report: SearchReport) -> list[str]:
    """The most important parameters above the floor that are active together in enough trials."""
    rows, found = valued(report), list[str]()
    for name in leading(report):
        tried = [*found, name]
        if sum(all(one in row.params for one in tried) for row in rows) >= COMMON * len(rows):
            found = tried
        if len(found) == LINES:
            break
    return found


def ranked(report: SearchReport, names: Sequence[str]) -> list[TrialRow]:
    """The trials that were trained to their end and have all of these, the best first."""
    sign = 1 if report.study.direction == "minimize" else -1
    rows = [row for row in valued(report) if row.state == "COMPLETE" and all(name in row.params for name in names)]
    return sorted(rows, key=lambda row: sign * (row.value or 0.0))


def fifth_of(place: int, trials: int) -> int:
    """In which fifth of so many trials the one at this place is, 0 being the best."""
    return place * len(FIFTHS) // trials


def parallel(report: SearchReport, names: Sequence[str]) -> go.Figure:
    """A line per trial of ``ranked`` across its parameters, by the fifth that its value is in.

    Plotly's own traces of this kind draw by WebGL, which neither prints nor runs everywhere.
    """
    rows = ranked(report, names)
    axes = [Axis(report.domains[name]) for name in names]
    labels = max(len(axis.ticks()) for axis in axes)
    made = figure(max(460, 90 + 18 * labels))
    for fifth in reversed(range(len(FIFTHS))):  # the best ones on top
        x: list[float | None] = []
        y: list[float | None] = []
        for place, row in enumerate(rows):
            if fifth_of(place, len(rows)) == fifth:
                shift = (row.trial % 11 - 5) / 400  # equal ones beside each other
                shares = [axis.share(row.params[name]) for axis, name in zip(axes, names, strict=True)]
                x += [*range(len(names)), None]
                y += [*(round(share + shift, 4) for share in shares), None]
        made.add_scatter(
            x=x, y=y, mode="lines", line={"color": COLOURS[fifth], "width": 1.6 if fifth == 0 else 0.9},
            opacity=0.9 if fifth == 0 else 0.45, name=FIFTHS[fifth], hoverinfo="skip",
        )  # fmt: skip
    for place, axis in enumerate(axes):
        for at, text in axis.ticks():
            made.add_annotation(
                x=place, y=at, text=text, showarrow=False, xanchor="left", xshift=4, font={"size": 11},
            )  # fmt: skip
    made.update_layout(
        xaxis={"tickvals": list(range(len(names))), "ticktext": list(names), "range": [-0.15, len(names) - 0.5],
               "showgrid": True},
        yaxis={"visible": False, "range": [-0.06, 1.06]},
        legend={"traceorder": "reversed"},
    )  # fmt: skip
    return made


def parallel_table(report: SearchReport, names: Sequence[str]) -> Table:
    """The best of the lines: what these trials drew."""
    rows = ranked(report, names)
    axes = [Axis(report.domains[name]) for name in names]
    lines = [
        (
            str(row.trial),
            number(row.value),
            FIFTHS[fifth_of(place, len(rows))],
            *(_drawn(axis, row, name) for axis, name in zip(axes, names, strict=True)),
        )
        for place, row in enumerate(rows[:LISTED])
    ]
    return Table(("trial", report.study.objective, "fifth", *names), tuple(lines))


def _drawn(axis: Axis, row: TrialRow, name: str) -> str:
    value = axis.place(row.params[name])
    return value if isinstance(value, str) else number(value)
