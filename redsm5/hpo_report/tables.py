"""The tables of a report: behind the pictures of its page, and all there is of them in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from redsm5.hpo.status import span
from redsm5.hpo_report.axes import text_of
from redsm5.hpo_report.figures import STATES, ending, time_parts
from redsm5.hpo_report.models import SearchReport

MARKS = {True: "met", False: "not met", None: "not known yet"}


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column heads its rows."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def requirement_table(report: SearchReport) -> Table:
    """What a search is held to."""
    rows = [(one.what, one.required, number(one.found), MARKS[one.met]) for one in report.requirements]
    return Table("Requirements", ("what", "required", "found", ""), tuple(rows))


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
    return Table("Trials", head, tuple(rows))


def importance_table(report: SearchReport) -> Table:
    """All parameters that could be compared."""
    rows = [
        (one.name, one.group, f"{one.importance:.2%}", f"{one.active:.0%}", text_of(one.best))
        for one in report.importances
    ]
    return Table(
        "Importance of the parameters", ("parameter", "group", "importance", "active in", "best trial"), tuple(rows)
    )


def group_table(report: SearchReport) -> Table:
    """The groups of the space."""
    rows = [(one.name, str(one.parameters), f"{one.importance:.2%}") for one in report.groups]
    return Table("Importance of the groups", ("group", "parameters", "importance"), tuple(rows))


def candidate_table(report: SearchReport) -> Table:
    """The best trials side by side."""
    keys = list(report.candidates[0].differs)
    rows = [(key, *(text_of(one.differs[key]) for one in report.candidates)) for key in keys]
    values = (report.study.objective, *(number(one.value) for one in report.candidates))
    head = ("setting", *(f"trial {one.trial}" for one in report.candidates))
    return Table("The best trials, where they differ", head, (values, *rows))


def same_table(report: SearchReport) -> Table:
    """What the best trials share."""
    rows = [(key, text_of(value)) for key, value in report.same.items()]
    return Table("What the best trials share", ("setting", "value"), tuple(rows))


def front_table(report: SearchReport) -> Table:
    """The Pareto front of several objectives."""
    names = [one.name for one in report.study.objectives]
    rows = [(str(one.trial), *(number(one.objectives[name]) for name in names)) for one in report.study.front]
    return Table("Pareto front", ("trial", *names), tuple(rows))


def reason_table(report: SearchReport) -> Table:
    """Failed trials by reason."""
    rows = [(reason, str(count)) for reason, count in report.study.reasons.items()]
    return Table("Failed trials by reason", ("reason", "trials"), tuple(rows))


def ending_table(report: SearchReport) -> Table:
    """How trials ended, and after how many epochs."""
    names = ("pruned", "stopped early", "trained to the last epoch", "failed")
    kinds = {name: [row for row in report.trials if ending(row) == name] for name in names}
    rows = [
        (
            name,
            str(len(rows)),
            f"{len(rows) / len(report.trials):.0%}",
            *_spread([float(row.epochs) for row in rows]),
            *_spread([row.seconds for row in rows], unit=" s"),
        )
        for name, rows in kinds.items()
        if rows
    ]
    head = ("end", "trials", "share", "epochs, median", "mean", "most", "time, median", "mean", "most")
    return Table("How trials ended", head, tuple(rows))


def memory_table(report: SearchReport) -> Table:
    """Peak memory by state, and the disk."""
    rows = []
    for state, (name, _) in STATES.items():
        known = [row.memory_gb for row in report.trials if row.state == state and row.memory_gb is not None]
        if known:
            rows.append((name, str(len(known)), *_spread(known)))
    return Table("Peak memory, 2^30 bytes", ("state", "trials", "median", "mean", "most"), tuple(rows))


def time_table(report: SearchReport) -> Table:
    """Where the time of the trials went."""
    parts, trials = time_parts(report), max(1, len(report.trials))
    rows = [(name, span(seconds), f"{seconds / trials:.2f} s") for name, seconds in parts]
    return Table("Where the time went", ("", "all trials", "per trial"), tuple(rows))


def curve_table(report: SearchReport) -> Table:
    """The reports of the trials after some epochs."""
    rows = []
    for epoch in (0, 1, 2, 4, 9, 19, 49, 99):
        found = [value for row in report.trials for step, value in row.curve if step == epoch]
        if found:
            rows.append((str(epoch), str(len(found)), number(min(found)), number(median(found)), number(max(found))))
    return Table(
        f"{report.pruned_by} after an epoch", ("epoch", "trials that had it", "least", "median", "most"), tuple(rows)
    )


def number(value: float | None) -> str:
    """A number with four digits; a dash for none."""
    return "–" if value is None else f"{value:.4g}"


def _spread(values: Sequence[float], unit: str = "") -> tuple[str, str, str]:
    return tuple(f"{found:.4g}{unit}" for found in (median(values), mean(values), max(values)))  # type: ignore[return-value]
