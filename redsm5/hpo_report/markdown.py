"""A report as Markdown: its sentences and tables."""

from __future__ import annotations

from redsm5.hpo_report.models import SearchReport
from redsm5.hpo_report.sections import Section, sections

MOST = 25
"""Rows of a table on a terminal."""


def markdown(report: SearchReport, most: int | None = None) -> str:
    """The whole, for a terminal, a notebook or an issue.

    Args:
        report: Of a study.
        most: Rows after which a table is cut; None for none.
    """
    parts = [f"# Search {report.study.study}", " ".join(report.summary)]
    return "\n\n".join([*parts, *(_section(one, most) for one in sections(report))]) + "\n"


def _section(section: Section, most: int | None) -> str:
    table = section.table
    lines = [f"## {section.title}", ""]
    if section.says:
        lines += [section.says, ""]
    lines += [_row(table.head), _row(("---",) * len(table.head)), *(_row(row) for row in table.rows[:most])]
    if most is not None and len(table.rows) > most:
        lines += ["", f"and {len(table.rows) - most} more rows; --out FILE has all"]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
