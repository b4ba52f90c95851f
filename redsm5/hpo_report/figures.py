"""Pictures of how a search went, as Plotly figures of a report's numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from redsm5.checkpoints.space import size_words
from redsm5.hpo_report.models import SearchReport, TrialRow
from redsm5.metrics.evaluation import Interval

BLUE, ORANGE, GREY, GREEN, RED = "#3d8fd1", "#c8741f", "#82878f", "#3f9d6b", "#d0524f"
"""Each at least 3:1 against light and dark paper."""
STATES = {"COMPLETE": ("trained to its end", BLUE), "PRUNED": ("pruned", GREY), "FAIL": ("failed", RED)}
MANY = 200
"""Trials whose lines lie one on another."""
TOP = 20
"""Parameters in the picture of importances."""


def figure(height: int = 380) -> go.Figure:
    """An empty one without colours of its own: the page gives it those of its scheme."""
    made = go.Figure()
    made.update_layout(
        template="none",
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 70, "r": 20, "t": 20, "b": 55},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hoverlabel={"namelength": -1},
    )
    made.update_xaxes(automargin=True, exponentformat="e")
    made.update_yaxes(automargin=True)
    return made


def interval_bars(values: Sequence[float], intervals: Sequence[Interval | None]) -> dict[str, object]:
    """Error bars of points: from each value to the ends of its interval; none where there is no interval."""
    pairs = list(zip(values, intervals, strict=True))
    return {
        "type": "data",
        "symmetric": False,
        "array": [0.0 if between is None else between.high - value for value, between in pairs],
        "arrayminus": [0.0 if between is None else value - between.low for value, between in pairs],
        "color": BLUE,
    }


def history(report: SearchReport) -> go.Figure:
    """Values over trials, by state, with the best so far."""
    made = figure(420)
    for state in ("PRUNED", "COMPLETE"):
        rows = [row for row in report.trials if row.state == state and row.value is not None]
        made.add_scatter(
            x=[row.trial for row in rows],
            y=[row.value for row in rows],
            mode="markers",
            name=STATES[state][0],
            marker={"color": STATES[state][1], "size": 6, "symbol": "circle" if state == "COMPLETE" else "x-thin-open"},
            text=[f"trial {row.trial}, {row.epochs} epochs" for row in rows],
        )
    failed = [row.trial for row in report.trials if row.state == "FAIL"]
    if failed:
        made.add_scatter(
            x=failed, y=[0.02] * len(failed), yaxis="y2", mode="markers", name=STATES["FAIL"][0],
            marker={"color": RED, "size": 8, "symbol": "triangle-up"},
        )  # fmt: skip
        made.update_layout(yaxis2={"overlaying": "y", "range": [0, 1], "visible": False})
    best = [row for row in report.trials if row.best is not None]
    made.add_scatter(
        x=[row.trial for row in best],
        y=[row.best for row in best],
        mode="lines",
        name="best so far",
        line={"color": ORANGE, "width": 2, "shape": "hv"},
    )
    made.update_layout(xaxis_title="trial", yaxis_title=report.study.objective)
    return made


def importance_bars(report: SearchReport) -> go.Figure:
    """Importances of the parameters, the largest on top."""
    top = report.importances[:TOP][::-1]
    made = figure(90 + 24 * len(top))
    made.add_bar(
        x=[one.importance for one in top],
        y=[one.name for one in top],
        orientation="h",
        marker={
            "color": [GREY if not one.above else BLUE if one.active >= 0.95 else GREEN for one in top],
        },
        text=[f"{one.importance:.1%}" for one in top],
        textposition="outside",
        cliponaxis=False,
        hovertext=[f"{one.name} ({one.group}), active in {one.active:.0%} of the trials" for one in top],
    )
    made.add_scatter(
        x=[one.floor for one in top], y=[one.name for one in top], mode="markers", hoverinfo="x",
        marker={"color": ORANGE, "symbol": "line-ns-open", "size": 14, "line": {"width": 2}},
    )  # fmt: skip
    made.update_layout(
        xaxis={"title": "importance; what chance reaches in orange", "tickformat": ".0%"},
        margin={"r": 60},
        showlegend=False,
    )
    return made


def group_bars(report: SearchReport) -> go.Figure:
    """Importances of the groups of the space."""
    groups = report.groups[::-1]
    made = figure(90 + 26 * len(groups))
    made.add_bar(
        x=[one.importance for one in groups],
        y=[one.name for one in groups],
        orientation="h",
        marker={"color": BLUE},
        text=[f"{one.importance:.1%}" for one in groups],
        textposition="outside",
        cliponaxis=False,
    )
    made.update_layout(
        xaxis={"title": "importance above chance", "tickformat": ".0%"}, margin={"r": 60}, showlegend=False
    )
    return made


def intermediate(report: SearchReport) -> go.Figure:
    """What every trial reported after its epochs."""
    made = figure(420)
    for state in ("COMPLETE", "PRUNED"):  # the short ones on top
        rows = [row for row in report.trials if row.state == state]
        made.add_scatter(
            x=_joined(rows, lambda row: [step for step, _ in row.curve]),
            y=_joined(rows, lambda row: [brief(value) for _, value in row.curve]),
            mode="lines",
            line={"color": STATES[state][1], "width": 0.8},
            opacity=0.65 if len(report.trials) < MANY else 0.4,
            name=STATES[state][0],
            hoverinfo="skip",
        )
    ends = [(row.curve[-1], row.trial) for row in report.trials if row.state == "PRUNED" and row.curve]
    made.add_scatter(
        x=[end[0] for end, _ in ends],
        y=[end[1] for end, _ in ends],
        mode="markers",
        marker={"color": ORANGE, "size": 4},
        name="pruned here",
        text=[f"trial {trial}" for _, trial in ends],
    )
    made.update_layout(xaxis_title="epoch", yaxis_title=report.pruned_by)
    return made


def endings(report: SearchReport) -> go.Figure:
    """Epochs of the trials, by how they ended."""
    made = figure()
    colours = {"pruned": GREY, "stopped early": BLUE, "trained to the last epoch": GREEN, "failed": RED}
    for name, colour in colours.items():
        counts = Counter(row.epochs for row in report.trials if ending(row) == name)
        if counts:
            epochs = sorted(counts)
            made.add_bar(x=epochs, y=[counts[epoch] for epoch in epochs], name=name, marker={"color": colour})
    made.update_layout(barmode="stack", xaxis_title="epochs", yaxis_title="trials", bargap=0.05)
    return made


def ending(row: TrialRow) -> str:
    """What ended a trial, in words."""
    if row.state == "COMPLETE":
        return "stopped early" if row.stopped_early else "trained to the last epoch"
    return STATES[row.state][0]


def durations(report: SearchReport) -> go.Figure:
    """How long trials took, by state."""
    made = figure()
    for state, (name, colour) in STATES.items():
        seconds = [row.seconds for row in report.trials if row.state == state]
        if seconds:
            made.add_histogram(x=seconds, name=name, marker={"color": colour}, nbinsx=40)
    made.update_layout(barmode="stack", xaxis_title="seconds of a trial", yaxis_title="trials", bargap=0.05)
    return made


def memory(report: SearchReport) -> go.Figure:
    """Peak memory of the trials."""
    made = figure()
    known = [row.memory_gb for row in report.trials if row.memory_gb is not None]
    made.add_histogram(x=known, marker={"color": BLUE}, nbinsx=40, showlegend=False)
    made.update_layout(xaxis_title="peak memory (2^30 bytes)", yaxis_title="trials", bargap=0.05)
    return made


def times(report: SearchReport) -> go.Figure:
    """Where the time of the trials went."""
    names, values = zip(*time_parts(report), strict=True)
    made = figure(90 + 30 * len(names))
    made.add_bar(
        x=values[::-1], y=names[::-1], orientation="h", marker={"color": BLUE},
        text=[f"{value:.0f} s" for value in values[::-1]], textposition="outside", cliponaxis=False,
    )  # fmt: skip
    made.update_layout(xaxis_title="seconds, all trials together", margin={"r": 70}, showlegend=False)
    return made


def time_parts(report: SearchReport) -> list[tuple[str, float]]:
    """Seconds of all trials together by what was done."""
    seconds = report.study.seconds
    training = max(0.0, seconds["fits"] - seconds["start"] - seconds["pretraining"])
    return [
        ("training and evaluation", training),
        ("pretraining", seconds["pretraining"]),
        ("start", seconds["start"]),
        ("storage, pruner and files", seconds["storage"]),
        ("sampler", seconds["sampling"]),
    ]


def failures(report: SearchReport) -> go.Figure:
    """Failed trials by reason."""
    reasons = list(report.study.reasons.items())[::-1]
    made = figure(90 + 28 * len(reasons))
    places = list(range(len(reasons)))  # cut short, two reasons may be the same text
    made.add_bar(
        x=[count for _, count in reasons], y=places, orientation="h", marker={"color": RED},
        hovertext=[reason for reason, _ in reasons],
    )  # fmt: skip
    made.update_layout(
        xaxis_title="trials",
        yaxis={"tickvals": places, "ticktext": [_short(reason) for reason, _ in reasons]},
        showlegend=False,
    )
    return made


def stored(report: SearchReport) -> go.Figure:
    """What the folder of the study takes, by what is stored."""
    kinds = [(kind, size) for kind, size in report.storage.kinds.items() if size][::-1]
    made = figure(90 + 30 * len(kinds))
    made.add_bar(
        x=[size / 1e6 for _, size in kinds], y=[kind for kind, _ in kinds], orientation="h", marker={"color": BLUE},
        text=[size_words(size) for _, size in kinds], textposition="outside", cliponaxis=False,
    )  # fmt: skip
    made.update_layout(xaxis_title="MB now", margin={"r": 70}, showlegend=False)
    return made


def brief(value: Any) -> Any:
    """Numbers with the five digits that a picture can show: all of them would make a page large."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _joined(rows: Sequence[TrialRow], of: Callable[[TrialRow], Iterable[float]]) -> list[float | None]:
    """Lines one after the other, with gaps between them: a trace per line would make a page slow."""
    found: list[float | None] = []
    for row in rows:
        found += [*of(row), None]
    return found


def _short(text: str, most: int = 70) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
