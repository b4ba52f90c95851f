"""The tables of a report that sum a search up."""

from __future__ import annotations

from dataclasses import dataclass

from redsm5.hpo_report.axes import text_of
from redsm5.hpo_report.models import Requirement, SearchReport


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column heads its rows."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def number(value: float | None) -> str:
    """A number with four digits; a dash for none."""
    return "–" if value is None else f"{value:.4g}"


def requirement_table(report: SearchReport) -> Table:
    """What a search is held to."""
    counts = report.study.counts
    over = counts.complete + counts.pruned + counts.failed >= report.study.budget
    rows = [(one.what, one.required, number(one.found), _mark(one, over)) for one in report.requirements]
    return Table(("what", "required", "found", ""), tuple(rows))


def importance_table(report: SearchReport) -> Table:
    """All parameters that could be compared."""
    rows = [
        (
            one.name,
            one.group,
            f"{one.importance:.2%}",
            f"{one.floor:.2%}",
            "yes" if one.above else "no",
            f"{one.active:.0%}",
            text_of(one.best),
        )
        for one in report.importances
    ]
    head = ("parameter", "group", "importance", "by chance", "above chance", "active in", "best trial")
    return Table(head, tuple(rows))


def group_table(report: SearchReport) -> Table:
    """The groups of the space."""
    rows = [(one.name, str(one.parameters), f"{one.importance:.2%}") for one in report.groups]
    return Table(("group", "parameters", "importance above chance"), tuple(rows))


def candidate_table(report: SearchReport) -> Table:
    """The best trials side by side: values of all objectives, then the settings that differ."""
    keys = list(report.candidates[0].differs)
    names = [one.name for one in report.study.objectives if one.name != report.study.objective]
    values = [(report.study.objective, *(number(one.value) for one in report.candidates))]
    values += [(name, *(number(one.objectives.get(name)) for one in report.candidates)) for name in names]
    rows = [(key, *(text_of(one.differs[key]) for one in report.candidates)) for key in keys]
    head = ("setting", *(f"trial {one.trial}" for one in report.candidates))
    return Table(head, (*values, *rows))


def same_table(report: SearchReport) -> Table:
    """What the best trials share."""
    return Table(("setting", "value"), tuple((key, text_of(value)) for key, value in report.same.items()))


def front_table(report: SearchReport) -> Table:
    """The Pareto front of several objectives."""
    names = [one.name for one in report.study.objectives]
    rows = [(str(one.trial), *(number(one.objectives[name]) for name in names)) for one in report.study.front]
    return Table(("trial", *names), tuple(rows))


def reason_table(report: SearchReport) -> Table:
    """Failed trials by reason."""
    return Table(("reason", "trials"), tuple((why, str(count)) for why, count in report.study.reasons.items()))


def _mark(one: Requirement, over: bool) -> str:
    if one.met is None:
        return "not yet known" if not over else "not known"
    return ("met" if one.met else "not met") + ("" if over else " so far")
