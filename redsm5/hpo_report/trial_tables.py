"""The tables of a report behind its pictures of trials: how they ended, how long they took, what they reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import mean, median

import numpy as np

from redsm5.hpo.status import span
from redsm5.hpo_report.figures import STATES, ending, time_parts
from redsm5.hpo_report.models import SearchReport
from redsm5.hpo_report.tables import Table, number

ENDS = ("pruned", "stopped early", "trained to the last epoch", "failed")
QUANTILES = {"least": 0.0, "5 %": 0.05, "25 %": 0.25, "median": 0.5, "75 %": 0.75, "95 %": 0.95, "most": 1.0}


def trial_table(report: SearchReport) -> Table:
    """All trials."""
    objectives = [one.name for one in report.study.objectives[1:]]
    rows = [
        (
            str(row.trial),
            STATES[row.state][0],
            number(row.value),
            *(number(row.objectives.get(name)) for name in objectives),
            number(row.best),
            str(row.epochs),
            span(row.seconds),
            number(row.memory_gb),
            row.reason,
        )
        for row in report.trials
    ]
    head = ("trial", "state", report.study.objective, *objectives, "best so far", "epochs", "time", "memory, GB", "why")
    return Table(head, tuple(rows))


def ending_table(report: SearchReport) -> Table:
    """How trials ended, and after how many epochs."""
    kinds = {name: [row for row in report.trials if ending(row) == name] for name in ENDS}
    good = len(report.trials) - len(kinds["failed"])
    rows = [
        (
            name,
            str(len(rows)),
            f"{len(rows) / len(report.trials):.0%}",
            "–" if name == "failed" else f"{len(rows) / good:.0%}",
            *_spread([float(row.epochs) for row in rows]),
        )
        for name, rows in kinds.items()
        if rows
    ]
    head = ("end", "trials", "of all", "of those that did not fail", "epochs, median", "mean", "most")
    return Table(head, tuple(rows))


def duration_table(report: SearchReport) -> Table:
    """Quantiles of the seconds of a trial, by state."""
    rows = []
    for state, (name, _) in STATES.items():
        seconds = [row.seconds for row in report.trials if row.state == state]
        if seconds:
            cut = np.quantile(seconds, list(QUANTILES.values()))
            rows.append((name, str(len(seconds)), *(f"{value:.4g} s" for value in cut)))
    return Table(("state", "trials", *QUANTILES), tuple(rows))


def memory_table(report: SearchReport) -> Table:
    """Peak memory by state."""
    rows = []
    for state, (name, _) in STATES.items():
        known = [row.memory_gb for row in report.trials if row.state == state and row.memory_gb is not None]
        if known:
            rows.append((name, str(len(known)), *_spread(known)))
    return Table(("state", "trials", "median", "mean", "most"), tuple(rows))


def time_table(report: SearchReport) -> Table:
    """Where the time of the trials went."""
    parts, trials = time_parts(report), max(1, len(report.trials))
    rows = [(name, span(seconds), f"{seconds / trials:.2f} s") for name, seconds in parts]
    return Table(("what", "all trials", "per trial"), tuple(rows))


def curve_table(report: SearchReport) -> Table:
    """The reports of the trials after each epoch, and how many trials were pruned there."""
    found: dict[int, list[float]] = {}
    for row in report.trials:
        for step, value in row.curve:
            found.setdefault(step, []).append(value)
    pruned = Counter(row.curve[-1][0] for row in report.trials if row.state == "PRUNED" and row.curve)
    rows = [
        (
            str(step),
            str(len(values)),
            number(min(values)),
            number(median(values)),
            number(max(values)),
            str(pruned[step]),
        )
        for step, values in sorted(found.items())
    ]
    return Table(("epoch", "trials that had it", "least", "median", "most", "pruned there"), tuple(rows))


def _spread(values: Sequence[float]) -> tuple[str, ...]:
    return tuple(f"{found:.4g}" for found in (median(values), mean(values), max(values)))
