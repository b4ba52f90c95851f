"""Which trials and parameters the pictures of parameters show."""

from __future__ import annotations

from redsm5.hpo_report.models import SearchReport, TrialRow

COMMON = 0.5
"""Share of the trials in which parameters that are shown together must all be active."""


def valued(report: SearchReport) -> list[TrialRow]:
    """Trials with a value that did not fail."""
    return [row for row in report.trials if row.value is not None and row.state != "FAIL"]


def leading(report: SearchReport) -> list[str]:
    """Names of the parameters whose importance is above that of chance, the largest first."""
    return [one.name for one in report.importances if one.above]
