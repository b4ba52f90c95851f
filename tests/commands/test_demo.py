"""``redsm5 demo --search``: the search once, from nothing."""

import json
import re
from pathlib import Path

import pytest
import yaml

from redsm5.cli import main

SHIPPED = Path(__file__).parents[2] / "configs" / "hpo-demo.yaml"
SPACE = """
version: 1
groups:
  model: {{encoder: {{path: model.encoder.id, choices: [{encoder}]}}}}
  training: {{lr: {{path: model.optimizer.lr, low: 1.0e-3, high: 1.0e-2, log: true}}}}
"""


@pytest.fixture
def config(tiny_encoder, tmp_path):
    """The shipped one with a space of one rate, two trials of an epoch."""
    space = tmp_path / "space.yaml"
    space.write_text(SPACE.format(encoder=tiny_encoder), encoding="utf-8")
    made = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    made["hpo"] |= {"space": str(space), "n_trials": 2, "workers": 1, "best_config": str(tmp_path / "best.yaml")}
    made["trainer"]["max_epochs"] = 1
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(made), encoding="utf-8")
    return path


def test_demo_search_compares_the_best_trial_with_the_default_config(config, tmp_path, capsys):
    out = tmp_path / "out"
    command = ["demo", "--search", "--config", str(config), "--out", str(out), "--posts", "60"]
    assert main(command) == 0
    assert yaml.safe_load((tmp_path / "best.yaml").read_text(encoding="utf-8"))["run_dir"] == "runs/best"
    said = capsys.readouterr().out
    assert [line.split()[2] for line in said.splitlines() if line.startswith("$ redsm5 ")] == ["data", "hpo", "fit"]
    study = json.loads((out / "study" / "study.json").read_text(encoding="utf-8"))
    default = json.loads((out / "default" / "training.json").read_text(encoding="utf-8"))
    best = study["best"][0]
    assert study["counts"]["complete"] + study["counts"]["pruned"] == 2
    shown = re.search(r"val_f1_macro on the validation part: (\S+) of trial (\d+), (\S+) of the default config", said)
    assert shown is not None
    assert (float(shown[1]), int(shown[2])) == (pytest.approx(best["value"], abs=1e-4), best["trial"])
    assert float(shown[3]) == pytest.approx(default["best_value"], abs=1e-4)
    # Again: the search has ended, its trials stay.
    assert main(command) == 0
    assert "2 of 2 trials ended" in capsys.readouterr().out


@pytest.mark.slow
def test_shipped_search_is_better_than_the_default_config(tmp_path, monkeypatch):
    monkeypatch.chdir(SHIPPED.parents[1])
    assert main(["demo", "--search", "--out", str(tmp_path)]) == 0
    study = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    default = json.loads((tmp_path / "default" / "training.json").read_text(encoding="utf-8"))
    assert study["counts"]["failed"] == 0
    assert sum(study["counts"][state] for state in ("complete", "pruned")) == 30
    assert study["best"][0]["value"] > default["best_value"]
