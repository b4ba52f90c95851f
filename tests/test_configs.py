from pathlib import Path

import pytest
import yaml
from pretrain_runs import write_texts

from redsm5.cli import main
from redsm5.report.writing import read_report

CONFIGS = Path(__file__).parents[1] / "configs"
FILES = sorted(CONFIGS.rglob("*.yaml"))
PRETRAIN = CONFIGS / "pretrain.yaml"
HPO = CONFIGS / "hpo.yaml"
DEMO = CONFIGS / "hpo-demo.yaml"
"""Of a search: tests/commands/test_demo.py."""
SPACES = CONFIGS / "hpo"
"""Search spaces, which are no configs of a fit: tests/hpo/space."""


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path not in (PRETRAIN, HPO, DEMO) and path.parent != SPACES],
    ids=lambda p: str(p.relative_to(CONFIGS)),
)
def test_config_runs(path, tiny_encoder, tiny_corpus_dir, tmp_path):
    """Every shipped file, as its header says to use it, on a corpus and an encoder of test size."""
    files = [CONFIGS / "fit.yaml", path] if path.parent.name == "encoders" else [path]
    command = ["fit"]
    for file in files:
        command += ["--config", str(file)]
    command += [
        f"--model.encoder.id={tiny_encoder}",
        f"--data.path={tiny_corpus_dir}",
        f"--run_dir={tmp_path / 'run'}",
        "--trainer.max_epochs=1",
        "--trainer.accelerator=cpu",
        "--runtime.threads=1",
    ]
    assert main(command) == 0
    assert read_report(tmp_path / "run" / "report.json").evaluations["val"].posts > 0


def test_pretrain_config_runs_by_the_command_in_its_head(tiny_encoder, tiny_corpus_dir, tmp_path, capsys, monkeypatch):
    """And the fit of its head starts from what that has left."""
    texts = write_texts(tmp_path / "texts")
    monkeypatch.chdir(CONFIGS.parent)
    lines = PRETRAIN.read_text().splitlines()
    commands = [line.lstrip("# ").split() for line in lines if line.lstrip("# ").startswith("redsm5 ")]
    assert [command[1] for command in commands] == ["pretrain", "fit"]
    here = {"FOLDER": str(tiny_corpus_dir), "TEXTS": str(texts)}
    for command in commands:
        args = [here.get(word, word) for word in command[1:]]
        args += [f"--model.encoder.id={tiny_encoder}", f"--data.cache_dir={tmp_path / 'cache'}", "--runtime.threads=1"]
        args += ["--trainer.accelerator=cpu"]
        assert (
            main([*args, *([f"--run_dir={tmp_path / 'run'}", "--trainer.max_epochs=1"] if args[0] == "fit" else [])])
            == 0
        )
    made = capsys.readouterr().out.split("encoder: ")[1].split("\n")[0]
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["model"]["encoder"]["id"] == made


def test_hpo_config_runs(tiny_encoder, tiny_corpus_dir, tmp_path, monkeypatch):
    """With a space of one dimension: the shipped ones are drawn from in tests/hpo/space."""
    monkeypatch.chdir(tmp_path)
    space = tmp_path / "space.yaml"
    space.write_text("version: 1\ngroups: {training: {lr: {path: model.optimizer.lr, low: 1.0e-5, high: 1.0e-4}}}\n")
    command = [
        "hpo", "--config", str(HPO), "--space", str(space), "--n-trials", "1", f"--data.path={tiny_corpus_dir}",
        f"--model.encoder.id={tiny_encoder}", "--trainer.max_epochs=1", "--trainer.accelerator=cpu",
        "--runtime.threads=1",
    ]  # fmt: skip
    assert main(command) == 0
    assert (tmp_path / "runs" / "hpo" / "study.json").exists()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(CONFIGS)))
def test_config_is_headed_by_its_command(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# redsm5 ")
    if path.parent.name == "encoders":
        assert str(path.relative_to(CONFIGS.parent)) in first


def test_resolved_config_runs_again_unchanged(tiny_encoder, tiny_corpus_dir, tmp_path):
    command = ["fit", "--config", str(CONFIGS / "fit.yaml"), f"--model.encoder.id={tiny_encoder}"]
    command += [f"--data.path={tiny_corpus_dir}", "--trainer.max_epochs=1", "--runtime.threads=1"]
    assert main([*command, f"--run_dir={tmp_path / 'a'}"]) == 0
    resolved = (tmp_path / "a" / "config.yaml").read_text()
    assert main(["fit", "--config", str(tmp_path / "a" / "config.yaml"), f"--run_dir={tmp_path / 'b'}"]) == 0
    again = yaml.safe_load((tmp_path / "b" / "config.yaml").read_text())
    assert again | {"run_dir": ""} == yaml.safe_load(resolved) | {"run_dir": ""}
