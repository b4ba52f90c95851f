"""Several objectives, two at a time."""

from __future__ import annotations

import math
from itertools import combinations

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from redsm5.hpo_report.figures import GREY, ORANGE, figure
from redsm5.hpo_report.models import SearchReport


def front(report: SearchReport) -> go.Figure:
    """The objectives two at a time, with the Pareto front: a panel for each pair."""
    pairs = list(combinations([one.name for one in report.study.objectives], 2))
    columns = min(3, len(pairs))
    lines = math.ceil(len(pairs) / columns)
    made = make_subplots(rows=lines, cols=columns, horizontal_spacing=0.09, vertical_spacing=0.25 / lines)
    made.update_layout(figure(90 + 330 * lines).layout)
    on = {one.trial for one in report.study.front}
    for place, (first, second) in enumerate(pairs):
        where = {"row": place // columns + 1, "col": place % columns + 1}
        for name, colour, chosen in (("other trials", GREY, False), ("Pareto front", ORANGE, True)):
            rows = [row for row in report.trials if row.objectives and (row.trial in on) is chosen]
            made.add_scatter(
                x=[row.objectives[second] for row in rows],
                y=[row.objectives[first] for row in rows],
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=place == 0,
                marker={"color": colour, "size": 8 if chosen else 6},
                text=[f"trial {row.trial}" for row in rows],
                **where,
            )
        made.update_xaxes(title=second, automargin=True, **where)
        made.update_yaxes(title=first, automargin=True, **where)
    return made
