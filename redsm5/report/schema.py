"""The JSON Schemas of the reports."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel

from redsm5.confirm.models import Confirmation
from redsm5.ensemble.models import Ensemble
from redsm5.hpo_report.models import SearchReport
from redsm5.report.models import Report
from redsm5.report.study_models import StudyReport, TrialReport

DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""The dialect that pydantic writes."""
REPORTS: dict[str, type[BaseModel]] = {
    "report": Report,
    "trial": TrialReport,
    "study": StudyReport,
    "search": SearchReport,
    "confirm": Confirmation,
    "ensemble": Ensemble,
}
"""By what ``redsm5 schema`` calls them."""


def report_schema(which: str = "report") -> dict[str, Any]:
    """The schema of a written report, in which every field is there (JSON Schema draft 2020-12).

    Args:
        which: Key of ``REPORTS``.
    """
    return {"$schema": DIALECT, **REPORTS[which].model_json_schema(mode="serialization")}


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as it is committed under ``docs/schemas``: indented, with a newline at its end."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
