from __future__ import annotations

import argparse
import json

import pytest

from redsm5.catalog import CATALOG
from redsm5.commands import models
from redsm5.errors import UserError


def run(*args: str) -> int:
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    return models.run(parser.parse_args(args))


@pytest.mark.parametrize("columns", ["80", "200"])
def test_models_prints_every_encoder_with_its_facts(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert run() == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= int(columns) for line in lines)
    for facts in CATALOG.values():
        row = next(i for i, line in enumerate(lines) if line.split("  (")[0] == facts.id)
        fields = lines[row + 1].split()
        sizes = f"{facts.layers}/{facts.hidden}/{facts.heads}/{facts.ffn}"
        assert fields[:4] == [facts.family, sizes, f"{facts.context:,}", f"{facts.parameters:.1f}"]
        assert lines[row + 1].rstrip().endswith(facts.licence or "none stated")
    assert "mental/mental-bert-base-uncased  (gated)" in lines


def test_models_writes_json_to_standard_output(capsys):
    assert run("--json", "-") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == list(CATALOG)
    longformer = next(row for row in rows if row["id"] == "allenai/longformer-base-4096")
    assert longformer["context"] == 4096
    assert longformer["attention"] == "eager"
    assert longformer["attention_modules"][0] == r".*attention\.self\.(query|key|value)(_global)?"


def test_models_writes_json_to_a_file(tmp_path, capsys):
    assert run("--json", str(tmp_path / "models.json")) == 0
    assert len(json.loads((tmp_path / "models.json").read_text())) == 30
    assert capsys.readouterr().out == ""


def test_models_refuses_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match="cannot write"):
        run("--json", str(tmp_path / "no" / "folder.json"))


@pytest.mark.parametrize("columns", ["80", "200"])
def test_models_prints_the_share_that_each_method_trains(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert run("--peft") == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= int(columns) for line in lines)
    assert lines[1].split() == ["LoRA", "LoRAPlus", "AdaLoRA", "Pfeiffer", "Houlsby", "Compacter", "IA3"]
    assert set(CATALOG) <= set(lines)
    bert = lines[lines.index("google-bert/bert-base-uncased") + 1].split()
    assert (bert[0], bert[-1]) == ("0.27%", "0.05%")


def test_models_writes_trained_parameters_as_json(capsys):
    assert run("--peft", "--json", "-") == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(CATALOG)
    assert rows["google-bert/bert-base-uncased"]["trainable"]["LoRA"] == 294_912
