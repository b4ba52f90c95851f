"""report.json: the models, the committed schema, writing and reading."""

import argparse
import json
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError
from report_samples import small_report

from redsm5.commands import schema as schema_command
from redsm5.errors import UserError
from redsm5.metrics.evaluation import Evaluation, EvidenceScores, evidence_key
from redsm5.report.models import Report
from redsm5.report.schema import report_schema, schema_text
from redsm5.report.writing import read_report, write_report

COMMITTED = Path(__file__).parents[2] / "docs" / "schemas" / "report.schema.json"


def nodes(schema):
    """Every model in a schema with its name."""
    return {"Report": schema, **schema["$defs"]}.items()


def test_committed_schema_is_true_to_the_models():
    assert COMMITTED.read_text(encoding="utf-8") == schema_text(report_schema()), (
        "run: redsm5 schema report > docs/schemas/report.schema.json"
    )


def test_schema_is_a_schema_and_a_report_validates():
    schema = json.loads(COMMITTED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema)
    checker.validate(json.loads(small_report().model_dump_json()))
    checker.validate(json.loads(small_report(training=None, evaluations={}, baselines={}).model_dump_json()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r.pop("encoder"),
        lambda r: r.update(text="a post"),
        lambda r: r["corpus"].update(sha256="short"),
        lambda r: r["evaluations"].update(train=r["evaluations"]["val"]),
        lambda r: r["evaluations"]["val"]["criteria"][0].update(brier=2.0),
    ],
    ids=["missing part", "foreign field", "bad hash", "unknown part", "impossible value"],
)
def test_schema_and_model_refuse_the_same(spoil):
    report = json.loads(small_report().model_dump_json())
    spoil(report)
    assert not jsonschema.Draft202012Validator(report_schema()).is_valid(report)
    with pytest.raises(ValidationError):
        Report.model_validate(report)


def test_every_field_is_described():
    bare = [
        f"{model}.{field}"
        for model, node in nodes(report_schema())
        for field, about in node.get("properties", {}).items()
        if not about.get("description")
    ]
    assert bare == []


def test_no_field_can_hold_post_text():
    text_fields = {
        f"{model}.{field}"
        for model, node in nodes(report_schema())
        for field, about in node.get("properties", {}).items()
        if about.get("type") == "string" or {"type": "string"} in about.get("anyOf", [])
    }
    assert text_fields == {
        "Report.created",
        "CorpusInfo.source",
        "CorpusInfo.sha256",
        "CriterionScores.code",
        "EncoderInfo.id",
        "EncoderInfo.revision",
        *(f"Environment.{f}" for f in ("redsm5", "python", "torch", "transformers", "lightning", "device")),
        "Published.name",
        "TrainingInfo.monitor",
    }


def test_models_are_frozen():
    report = small_report()
    with pytest.raises(ValidationError, match="frozen"):
        report.thresholds = {}


def test_written_report_comes_back_equal(tmp_path):
    report = small_report()
    write_report(tmp_path / "report.json", report)
    assert read_report(tmp_path / "report.json") == report
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_infinite_numbers_in_the_config_are_spelled_as_in_yaml(tmp_path):
    config = {"a": float("inf"), "b": [float("-inf"), {"c": float("nan")}], "d": 1.5}
    write_report(tmp_path / "report.json", small_report(config=config))
    assert json.loads((tmp_path / "report.json").read_text())["config"] == {
        "a": ".inf",
        "b": ["-.inf", {"c": ".nan"}],
        "d": 1.5,
    }


def test_undefined_numbers_are_refused():
    with pytest.raises(ValidationError, match="finite"):
        small_report(thresholds={"SLEEP": float("nan")})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "run redsm5 fit first"),
        ("{", "is not a report of this version: the file: Invalid JSON"),
        ("{}", "is not a report of this version: created: Field required"),
    ],
    ids=["missing", "not JSON", "another shape"],
)
def test_read_report_says_what_is_wrong(tmp_path, content, words):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=words) as caught:
        read_report(path)
    assert "\n" not in str(caught.value)


def test_schema_command_prints_the_committed_schema(capsys):
    parser = argparse.ArgumentParser()
    schema_command.add_arguments(parser)
    assert schema_command.run(parser.parse_args(["report"])) == 0
    assert capsys.readouterr().out == COMMITTED.read_text(encoding="utf-8")


def test_scalars_name_every_defined_number_once():
    evaluation = small_report().evaluations["test"]
    scalars = evaluation.scalars()
    assert scalars["f1_macro"] == evaluation.at_half.f1_macro
    assert scalars["tuned_f1_macro"] == 1.0
    assert scalars["hit_at_1"] == evaluation.evidence_given_gold.hit_at_1
    assert scalars["end_to_end_evidence_token_f1"] == evaluation.evidence_end_to_end.token_f1
    assert "hard_negative_rate" not in scalars
    assert {"exact_match", "evidence_exact_match", "end_to_end_evidence_exact_match"} <= scalars.keys()
    assert len({evidence_key(f) for f in EvidenceScores.model_fields}) == len(EvidenceScores.model_fields)


def test_headline_is_text_by_name():
    evaluation: Evaluation = small_report().evaluations["test"]
    assert evaluation.headline() == {
        "posts": "3",
        "macro F1 at tuned thresholds": "1.000",
        "micro F1 at tuned thresholds": "1.000",
        "hit@1 given the gold criteria": "1.000",
        "token F1 given the gold criteria": "1.000",
        "token F1 end to end": "1.000",
    }
    assert issubclass(Evaluation, BaseModel)
