from __future__ import annotations

import argparse
import json
import sys

import pytest

from redsm5.catalog import CATALOG
from redsm5.cli import main
from redsm5.commands import models
from redsm5.encoder_check.result import CheckResult
from redsm5.errors import UserError


def run(*args: str) -> int:
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    return models.run(parser.parse_args(args))


def pretend_terminal(monkeypatch, columns):
    """Standard output says that it is a terminal of some width, without colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", columns)


@pytest.mark.parametrize("columns", ["80", "200"])
def test_models_prints_every_encoder_with_its_facts(capsys, monkeypatch, columns):
    pretend_terminal(monkeypatch, columns)
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


@pytest.mark.parametrize("more", [[], ["--peft"]])
def test_models_prints_a_line_per_encoder_where_there_is_no_terminal(capsys, more):
    assert main(["models", *more]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.startswith("encoder ")
    assert [line.split()[0] for line in lines] == list(CATALOG)
    bert = next(line for line in lines if line.startswith("google-bert/bert-base-uncased "))
    assert bert.split()[1:5] == (
        ["0.27%", "0.27%", "1.83%", "1.09%"] if more else ["bert", "12/768/12/3072", "512", "109.5"]
    )


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


SMALLEST = "OpenMed/OpenMed-NER-ChemicalDetect-ElectraMed-33M"


def test_models_shows_chosen_encoders_only(capsys):
    assert run("--json", "-", "--models", f"google/electra-base-discriminator, {SMALLEST}") == 0
    assert [row["id"] for row in json.loads(capsys.readouterr().out)] == ["google/electra-base-discriminator", SMALLEST]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--models", "bert-base"], "--models: bert-base is not in the table"),
        (["--models", " , "], "--models names no encoder"),
        (["--download"], "--download is an option of --check"),
        (
            ["--models", "sentence-transformers/all-MiniLM-L6-v2"],
            "--models: sentence-transformers/all-MiniLM-L6-v2 is not",
        ),
        (["--check", "--peft"], "--peft shows shares and --check trains without an adapter"),
        (["--check", "--json", "/no/folder/x.json"], "cannot write /no/folder/x.json"),
    ],
)
def test_models_refuses_wrong_arguments_in_a_sentence(capsys, arguments, sentence):
    assert main(["models", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"redsm5: error: {sentence}")


@pytest.mark.slow
def test_check_of_one_encoder_at_full_size(capsys, tmp_path):
    assert main(["models", "--check", "--models", SMALLEST, "--json", str(tmp_path / "check.json")]) == 0
    captured = capsys.readouterr()
    announced, said = captured.err.splitlines()
    assert announced == "checking 1 encoder: about 1 min of computing time"
    assert said.startswith(f"[1/1] {SMALLEST}: passed (")
    (record,) = json.loads((tmp_path / "check.json").read_text())
    assert (record["id"], record["passed"], record["formats"]) == (SMALLEST, True, ["MultiLabel", "BinaryPairs"])
    assert record["parameters"] == pytest.approx(33.4 - (384 * 384 + 384) / 1e6, abs=0.05)  # without its pooler
    assert 0.2 < record["memory_gb"] < 4
    assert record["cpu_seconds"] > 0
    lines = captured.out.splitlines()
    assert lines[2] == SMALLEST
    assert lines[3].split() == [
        "bert", "WordPiece,", "lower", "case", "33.2", f"{record['memory_gb']:.1f}", f"{record['seconds']:.0f}",
        "MultiLabel,", "BinaryPairs",
    ]  # fmt: skip
    assert lines[4].startswith("1 of 1 passed in ")
    assert all(len(line) <= 120 for line in lines)


def test_check_that_fails_returns_one_and_shows_the_sentence(capsys, monkeypatch):
    results = [
        CheckResult("a/good", "bert", "WordPiece, cased", 108.0, ("MultiLabel", "BinaryPairs"), 12.0, 20.0, 1.4),
        CheckResult("a/bad", "bert", "WordPiece, cased", failure="a/bad is gated: accept the terms"),
    ]

    def check_all(encoders, *, download, done):
        assert download
        for result in results:
            done(result)
        return results

    monkeypatch.setattr("redsm5.encoder_check.run.check_all", check_all)
    assert run("--check", "--download", "--models", f"{SMALLEST},google/electra-base-discriminator") == 1
    captured = capsys.readouterr()
    lines = [line.rstrip() for line in captured.out.splitlines()]
    assert lines[4:7] == ["a/bad", "  bert         WordPiece, cased           -     -     0  none",
                          "  failed: a/bad is gated: accept the terms"]  # fmt: skip
    assert lines[7] == "1 of 2 passed in 12 s"
    assert captured.err.splitlines()[2] == "[2/2] a/bad: a/bad is gated: accept the terms (0 s)"


def test_check_that_is_interrupted_shows_what_it_has(capsys, monkeypatch, tmp_path):
    def check_all(encoders, *, download, done):
        done(CheckResult("a/good", "bert", "WordPiece, cased", 108.0, ("MultiLabel", "BinaryPairs"), 12.0, 20.0, 1.4))
        raise KeyboardInterrupt

    monkeypatch.setattr("redsm5.encoder_check.run.check_all", check_all)
    assert main(["models", "--check", "--json", str(tmp_path / "check.json")]) == 130
    captured = capsys.readouterr()
    assert captured.err.splitlines()[0] == "checking 30 encoders, one after the other: about 16 min of computing time"
    assert captured.err.splitlines()[-1] == "redsm5: interrupted after 1 of 30"
    assert "a/good" in captured.out
    assert "1 of 1 passed in 12 s" in captured.out
    assert [record["id"] for record in json.loads((tmp_path / "check.json").read_text())] == ["a/good"]


@pytest.mark.slow
def test_check_passes_all_thirty(capsys):
    assert main(["models", "--check"]) == 0
    assert "30 of 30 passed in" in capsys.readouterr().out


@pytest.mark.parametrize("columns", ["80", "200"])
def test_models_prints_the_share_that_each_method_trains(capsys, monkeypatch, columns):
    pretend_terminal(monkeypatch, columns)
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
