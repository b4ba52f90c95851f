"""report.json of a trial and study.json: the models and the committed schemas."""

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from redsm5.report.schema import REPORTS, report_schema, schema_text
from redsm5.report.study_models import TrialReport

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
TRIAL = {
    "schema_version": 1, "created": "2026-01-01T00:00:00Z", "study": "s", "trial": 3, "attempts": 1, "state": "PRUNED",
    "reason": "", "detail": "", "objective": "val_f1_macro", "value": 0.5, "objectives": {}, "best_epoch": 0,
    "epochs": 2,
    "stopped_early": False, "pruned_at": 1, "metrics": {"val_f1_macro": 0.5}, "params": {"lr": 1e-5, "betas": "[0.9]"},
    "settings": {"model.optimizer.betas": [0.9]}, "notes": {}, "batches": [{"data.batching.train": 4}],
    "seconds": {"sampling": 0.1, "pretraining": 0.0, "start": 0.5, "fits": 3.0, "storage": 0.1},
    "memory_gb": None, "worker": "h:1",
    "run": "trials/00003/attempt-1",
}  # fmt: skip


@pytest.mark.parametrize("which", ["trial", "study", "search"])
def test_committed_schema_is_true_to_the_models(which):
    committed = (SCHEMAS / f"{which}.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(report_schema(which)), (
        f"run: redsm5 schema {which} > docs/schemas/{which}.schema.json"
    )
    jsonschema.Draft202012Validator.check_schema(json.loads(committed))


def test_trial_report_is_read_back_as_written():
    jsonschema.validate(TRIAL, report_schema("trial"))
    assert json.loads(TrialReport.model_validate(TRIAL).model_dump_json()) == TRIAL


@pytest.mark.parametrize(
    "change", [{"state": "RUNNING"}, {"trial": -1}, {"attempts": 0}, {"text": "a post"}, {"seconds": {"fits": 1.0}}]
)
def test_schema_and_model_refuse_the_same(change):
    wrong = {**TRIAL, **change}
    assert not jsonschema.Draft202012Validator(report_schema("trial")).is_valid(wrong)
    with pytest.raises(ValidationError):
        TrialReport.model_validate(wrong)


@pytest.mark.parametrize("which", sorted(REPORTS))
def test_every_field_is_described(which):
    schema = report_schema(which)
    for name, node in {which: schema, **schema.get("$defs", {})}.items():
        for field, about in node.get("properties", {}).items():
            assert about.get("description"), f"{name}.{field}"
