"""A report as Markdown: its sentences and tables."""

from __future__ import annotations

from redsm5.hpo_report import tables
from redsm5.hpo_report.models import SearchReport
from redsm5.hpo_report.tables import Table

MOST = 25
"""Rows of a table; the page and the JSON have all."""


def markdown(report: SearchReport) -> str:
    """The whole, for a terminal, a notebook or an issue."""
    parts = [f"# Search {report.study.study}", " ".join(report.summary)]
    parts.append(_table(tables.requirement_table(report)))
    if report.study.front:
        parts.append(_table(tables.front_table(report)))
    if report.candidates:
        parts += [_table(tables.candidate_table(report)), _table(tables.same_table(report))]
    if report.importances:
        parts += [_table(tables.group_table(report)), _table(tables.importance_table(report))]
    if report.trials:
        parts += [_table(tables.ending_table(report)), _table(tables.time_table(report))]
    if report.study.reasons:
        parts.append(_table(tables.reason_table(report)))
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    lines = [f"## {table.caption}", "", _row(table.head), _row(("---",) * len(table.head))]
    lines += [_row(row) for row in table.rows[:MOST]]
    if len(table.rows) > MOST:
        lines += ["", f"and {len(table.rows) - MOST} more"]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
