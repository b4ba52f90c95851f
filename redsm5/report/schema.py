"""The JSON Schema of ``report.json``."""

from __future__ import annotations

import json
from typing import Any

from redsm5.report.models import Report

DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""The dialect that pydantic writes."""


def report_schema() -> dict[str, Any]:
    """The schema of a written report, in which every field is there (JSON Schema draft 2020-12)."""
    return {"$schema": DIALECT, **Report.model_json_schema(mode="serialization")}


def schema_text(schema: dict[str, Any]) -> str:
    """A schema as it is committed under ``docs/schemas``: indented, with a newline at its end."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
