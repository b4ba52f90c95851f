"""What ``redsm5 ensemble`` made of the best trials: read, as a table and as a picture."""

from __future__ import annotations

import plotly.graph_objects as go

from redsm5.ensemble.models import MAIN, METRICS, Ensemble
from redsm5.hpo_report.figures import BLUE, ORANGE, figure, interval_bars
from redsm5.hpo_report.models import Combined, CombinedArm, SearchReport
from redsm5.hpo_report.tables import Table


def combined_of(found: Ensemble) -> Combined:
    """The numbers of an ensemble that a report shows."""
    return Combined(
        **{name: getattr(found, name) for name in Combined.model_fields if name != "compared"},
        compared=[
            CombinedArm(
                name=one.name,
                kind=one.kind,
                trials=one.trials,
                scores=one.scores,
                gain=one.gains.get(MAIN),
                gain_interval=one.gain_intervals.get(MAIN),
            )
            for one in found.compared
        ],
    )


def says(found: Combined) -> str:
    """How they were compared."""
    return (
        f"The best trials, what can be made of them, and by * what was exported, on the {found.posts} validation posts "
        f"by {found.authors} authors, when {found.trials} trials had ended. What is learned of posts (weights, ranks, "
        f"thresholds, the margin of spans) is learned of the other {found.folds - 1} of {found.folds} folds; AUPRC is "
        f"within folds. Gains are in macro F1 at tuned "
        f"thresholds over the best single trial. All trials were chosen on these posts, the best one most of all."
    )


def combined_table(report: SearchReport) -> Table:
    """All that was compared."""
    found = _found(report)
    rows = [
        (
            one.name + (" *" if one.name == found.chosen else ""),
            *(f"{one.scores[key]:.4f}" if key in one.scores else "–" for key in METRICS),
            "–" if one.gain is None or one is found.compared[0] else f"{one.gain:+.4f}",
            "–"
            if one.gain_interval is None or one is found.compared[0]
            else f"{one.gain_interval.low:+.4f} to {one.gain_interval.high:+.4f}",
        )
        for one in found.compared
    ]
    return Table(("what", *METRICS.values(), "gain", f"{100 * found.level:.0f} % interval"), tuple(rows))


def gain_points(report: SearchReport) -> go.Figure:
    """Gains over the best single trial with their intervals, beside 0."""
    found = _found(report)
    shown = [one for one in found.compared[1:] if one.gain is not None][::-1]
    gains = [one.gain or 0.0 for one in shown]
    made = figure(110 + 30 * len(shown))
    made.add_scatter(
        x=gains, y=[one.name + (" *" if one.name == found.chosen else "") for one in shown], mode="markers",
        marker={"color": BLUE, "size": 9}, showlegend=False,
        error_x=interval_bars(gains, [one.gain_interval for one in shown]),
    )  # fmt: skip
    made.add_vline(x=0, line={"color": ORANGE, "dash": "dash", "width": 1.5})
    made.update_layout(xaxis_title=f"{METRICS[MAIN]} less that of {found.compared[0].name}", yaxis={"type": "category"})
    return made


def combined_sentence(found: Combined) -> str:
    """What it comes to."""
    chosen = next(one for one in found.compared if one.name == found.chosen)
    best = found.compared[0]
    said = f"The ensemble of trials {', '.join(str(n) for n in chosen.trials)} ({chosen.name})"
    if chosen.gain is None:
        return f"{said} could not be compared with {best.name} in {METRICS[MAIN]}."
    between = chosen.gain_interval
    interval = (
        "" if between is None else f", {100 * found.level:.0f} % interval {between.low:+.4f} to {between.high:+.4f}"
    )
    return f"{said} is {chosen.gain:+.4f} in {METRICS[MAIN]} against {best.name} on the validation part{interval}."


def _found(report: SearchReport) -> Combined:
    assert report.combined is not None
    return report.combined
