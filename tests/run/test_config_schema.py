import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from redsm5.cli import config_schema, main
from redsm5.report.schema import schema_text

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "schemas" / "config.schema.json"
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))


def test_committed_config_schema_is_true_to_the_options():
    assert COMMITTED.read_text(encoding="utf-8") == schema_text(config_schema()), (
        "run: redsm5 schema config > docs/schemas/config.schema.json"
    )


def test_schema_config_command_prints_it(capsys):
    assert main(["schema", "config"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(COMMITTED.read_text(encoding="utf-8"))


def test_resolved_config_validates(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(ROOT / "configs" / "fit.yaml"), "--data.path", "x", "--print_config"])
    schema = json.loads(COMMITTED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(capsys.readouterr().out), schema)


@pytest.mark.parametrize(
    "change", [{"model": {"poolin": "Mean"}}, {"trainer": {"max_epochs": "many"}}, {"runtime": {"precision": "fp8"}}]
)
def test_schema_refuses_what_the_parser_refuses(change):
    schema = json.loads(COMMITTED.read_text(encoding="utf-8"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(change, schema)
