"""What ``redsm5 confirm`` found of the best trials: read, as tables and as pictures."""

from __future__ import annotations

import plotly.graph_objects as go

from redsm5.confirm.models import Confirmation
from redsm5.hpo_report.figures import BLUE, ORANGE, figure, interval_bars
from redsm5.hpo_report.models import Confirmed, ConfirmedDifference, ConfirmedTrial, SearchReport
from redsm5.hpo_report.tables import Table
from redsm5.metrics.evaluation import Interval


def confirmed_of(found: Confirmation) -> Confirmed:
    """The numbers of a confirmation that a report shows."""
    return Confirmed(
        created=found.created,
        trials=found.trials,
        folds=found.folds,
        seeds=len(found.seeds),
        posts=found.posts,
        authors=found.authors,
        level=found.level,
        best=found.best,
        candidates=[
            ConfirmedTrial(**{name: getattr(one, name) for name in ConfirmedTrial.model_fields})
            for one in found.candidates
        ],
        differences=[
            ConfirmedDifference(**{name: getattr(one, name) for name in ConfirmedDifference.model_fields})
            for one in found.differences
        ],
    )


def says(found: Confirmed) -> str:
    """How it was found."""
    return (
        f"The best trials, trained {found.seeds} times on each of {found.folds} folds of the {found.posts} training "
        f"and validation posts, by {found.authors} authors, when {found.trials} trials had ended. The test posts are "
        "in none of them. The difference to the search is what the trial had there less the confirmed mean: the luck "
        "of the choice, and another number of training posts."
    )


def confirmed_table(report: SearchReport) -> Table:
    """The candidates."""
    found = _found(report)
    rows = [
        (
            str(one.trial),
            str(one.rank),
            f"{one.search_value:.4f}",
            "not confirmed" if one.mean is None else f"{one.mean:.4f}",
            _ends(one.interval),
            "–" if one.search_difference is None else f"{one.search_difference:+.4f}",
            "; ".join(one.failed),
        )
        for one in found.candidates
    ]
    level = f"{100 * found.level:.0f} % interval"
    return Table(
        ("trial", "rank in the search", "in the search", "confirmed", level, "difference to it", "failed"), tuple(rows)
    )


def difference_table(report: SearchReport) -> Table:
    """The confirmed best trial and the others."""
    found = _found(report)
    rows = [
        (
            f"trial {one.trial} less trial {one.other}",
            f"{one.difference:+.4f}",
            _ends(one.interval),
            _p(one.p_holm),
            "none" if one.pooled_difference is None else f"{one.pooled_difference:+.4f}",
            _ends(one.pooled_interval),
            _p(one.pooled_p_holm),
        )
        for one in found.differences
    ]
    level = f"{100 * found.level:.0f} % interval"
    return Table(("what", "difference", level, "p", "pooled", level, "p, pooled"), tuple(rows))


def confirmed_points(report: SearchReport) -> go.Figure:
    """Confirmed means with their intervals, and the values of the search."""
    shown = [one for one in _found(report).candidates if one.mean is not None][::-1]
    names = [f"trial {one.trial}" for one in shown]
    made = figure(110 + 36 * len(shown))
    made.add_scatter(
        x=[one.search_value for one in shown], y=names, mode="markers", name="in the search",
        marker={"color": ORANGE, "size": 10, "symbol": "diamond-open"},
    )  # fmt: skip
    made.add_scatter(
        x=[one.mean for one in shown], y=names, mode="markers", name="confirmed", marker={"color": BLUE, "size": 9},
        error_x=interval_bars([one.mean or 0.0 for one in shown], [one.interval for one in shown]),
    )  # fmt: skip
    made.update_layout(xaxis_title=report.study.objective, yaxis={"type": "category"})
    return made


def difference_points(report: SearchReport) -> go.Figure:
    """Differences with their intervals, beside 0."""
    shown = _found(report).differences[::-1]
    made = figure(110 + 36 * len(shown))
    made.add_scatter(
        x=[one.difference for one in shown], y=[f"less trial {one.other}" for one in shown], mode="markers",
        marker={"color": BLUE, "size": 9}, showlegend=False,
        error_x=interval_bars([one.difference for one in shown], [one.interval for one in shown]),
    )  # fmt: skip
    made.add_vline(x=0, line={"color": ORANGE, "dash": "dash", "width": 1.5})
    metric = report.study.objective.removeprefix("val_")
    made.update_layout(
        xaxis_title=f"{metric} of trial {shown[0].trial} less that of another", yaxis={"type": "category"}
    )
    return made


def _ends(between: Interval | None) -> str:
    return "none" if between is None else f"{between.low:.4f} to {between.high:.4f}"


def _p(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _found(report: SearchReport) -> Confirmed:
    assert report.confirmed is not None
    return report.confirmed
