import json
import subprocess
import sys
from pathlib import Path

import pytest

from redsm5.cli import main
from redsm5.datamodules.audit import CorpusAudit

SENTENCE = "Velvet mornings weigh on me."
HEAD = "post_id,sentence_id,sentence_text,DSM5_symptom,status\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "posts.csv").write_text(f"post_id,text\ns_1_1,{SENTENCE}\ns_2_1,Quiet.\n")
    (tmp_path / "annotations.csv").write_text(HEAD + f"s_1_1,s_1_1_0,{SENTENCE},DEPRESSED_MOOD,1\n")
    return tmp_path


def test_data_check_prints_tables_and_exits_0(folder, capsys):
    assert main(["data", "check", str(folder)]) == 0
    output = capsys.readouterr()
    assert "DEPRESSED_MOOD" in output.out
    assert "exact" in output.out
    assert "warning: no post has evidence of ANHEDONIA" in output.out
    assert SENTENCE not in output.out + output.err
    assert output.err == ""


def test_data_check_writes_json_to_the_standard_output_or_a_file(folder, tmp_path, capsys):
    files = [str(folder / "posts.csv"), str(folder / "annotations.csv")]
    assert main(["data", "check", *files, "--json", "-"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert main(["data", "check", *files, "--json", str(tmp_path / "audit.json")]) == 0
    assert "Alignment" in capsys.readouterr().out
    assert json.loads((tmp_path / "audit.json").read_text()) == printed
    assert CorpusAudit.model_validate(printed).posts == 2


def test_data_check_lists_everything_a_fit_would_refuse_and_exits_2(folder, capsys):
    with (folder / "annotations.csv").open("a") as file:
        file.write("s_1_1,a,b,JOY,1\ns_1_1,a,b,HOPE,1\ngone,a,b,FATIGUE,1\n")
    assert main(["data", "check", str(folder)]) == 2
    output = capsys.readouterr()
    assert all(name in output.out for name in ("JOY (1 rows", "HOPE (1 rows", "gone (1 rows"))
    assert output.err.count("redsm5: error: ") == 2
    assert main(["data", "check", str(folder), "--json", "-"]) == 2
    assert len(json.loads(capsys.readouterr().out)["refusals"]) == 2


def test_data_check_passes_its_options_on(folder, capsys):
    with (folder / "annotations.csv").open("a") as file:
        file.write(f"s_1_1,s_1_1_0,{SENTENCE},DEPRESSED_MOOD,0\ns_1_1,s_1_1_0,Velvet mornings weigh on us,FATIGUE,1\n")
    (folder / "labels.yaml").write_text("DEPRESSED_MOOD: low\nFATIGUE: tired\n")
    options = ["--criteria", str(folder / "labels.yaml"), "--conflicts", "negative"]
    assert main(["data", "check", str(folder), *options, "--json", "-"]) == 0
    audit = json.loads(capsys.readouterr().out)
    assert [label["code"] for label in audit["labels"]] == ["DEPRESSED_MOOD", "FATIGUE"]
    assert audit["conflicts"][0]["kept"] == "negative"
    assert audit["alignment"]["counts"]["fuzzy"] == 1
    assert main(["data", "check", str(folder), *options, "--fuzzy-cutoff", "99", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["alignment"]["counts"]["failed"] == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["data"], "{check,synth}"),
        (["data", "mend"], "mend"),
        (["data", "check"], "PATHS"),
        (["data", "check", "{0}", "--fuzzy-cutoff", "101"], "--fuzzy-cutoff must be between 0 and 100"),
        (["data", "check", "{0}", "--fuzzy-margin", "-1"], "--fuzzy-margin must be between 0 and 100"),
        (["data", "check", "{0}", "--fuzzy-margin", "nan"], "--fuzzy-margin must be between 0 and 100"),
        (["data", "check", "{0}", "--conflicts", "both"], "--conflicts"),
        (["data", "check", "a", "b", "c"], "3 paths"),
        (["data", "check", "{0}/nowhere"], "no such folder"),
        (["data", "check", "{0}", "--revision", "main"], "revision"),
        (["data", "check", "{0}", "--json", "{0}/none/audit.json"], "--json"),
        (["data", "check", "{0}/posts.csv", "{0}"], "is a directory"),
        (["data", "synth", "--posts", "0", "--out", "{0}/new"], "--posts must be at least 1"),
    ],
)
def test_data_refuses_with_one_sentence_and_exits_2(folder, capsys, arguments, part):
    assert main([argument.format(folder) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert part in error
    assert error.count("\n") == 1


def test_data_synth_writes_a_corpus_that_data_check_accepts(tmp_path, capsys):
    out = tmp_path / "corpus"
    assert main(["data", "synth", "--posts", "12", "--seed", "3", "--out", str(out), "--profile", "demo"]) == 0
    capsys.readouterr()
    assert main(["data", "check", str(out), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["posts"] == 12


def test_data_check_does_without_torch_and_pandas(folder):
    code = (
        "import sys; from redsm5.cli import main; "
        f"assert main(['data', 'check', {str(folder)!r}]) == 0; "
        "print(sorted({'torch', 'pandas', 'transformers', 'huggingface_hub', 'pyarrow'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
