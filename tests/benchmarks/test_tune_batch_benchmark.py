import json
import subprocess
import sys
from pathlib import Path

import pytest

from redsm5.batch_search.calibration import add_entry, read_calibration
from redsm5.cli import main

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def run(script, *options, cwd=None):
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *options], capture_output=True, text=True, check=False, cwd=cwd
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_tune_batch_benchmark_shows_who_finds_what_fits(tmp_path):
    out = tmp_path / "sizes.json"
    options = ("--posts=60", "--layers=2", "--hidden=64", "--memory-gb=1", f"--json={out}")
    said = run("tune_batch.py", *options)
    report = json.loads(out.read_text())
    assert list(report["arms"]) == ["predicted", "power", "binsearch", "lightning power", "lightning binsearch"]
    for arm in ("predicted", "power", "binsearch"):
        (one,) = report["arms"][arm]
        assert one["holds"]
        assert one["examples"] == 15  # a quarter of the training posts
    # Lightning's own counts what the loader has, not what it could have.
    assert not report["arms"]["lightning binsearch"][0]["holds"]
    assert "longest posts fit" in said


@pytest.mark.slow
def test_precision_benchmark_measures_the_same_steps(tmp_path):
    out = tmp_path / "precision.json"
    run("precision.py", "--posts=16", "--layers=1", "--hidden=32", f"--json={out}")
    report = json.loads(out.read_text())
    assert set(report["medians"]) == {"none", "bf16"}
    for values in report["medians"].values():
        assert values["steps_per_second"] * values["seconds"] == pytest.approx(2)
        # 6 N + 12 layers length hidden, N = 12 layers hidden^2
        tokens = values["tokens_per_second"] * values["seconds"]
        flops = tokens * (6 * 12 * 32**2 + 12 * (tokens / 16) * 32)
        assert values["tflops"] == pytest.approx(flops / values["seconds"] / 1e12)


@pytest.mark.slow
def test_prediction_error_benchmark_compares_what_was_probed(tmp_path, monkeypatch):
    """An entry as a probe leaves it: here a prediction that calls itself probed, of which the error is nothing."""
    monkeypatch.setenv("REDSM5_CACHE", str(tmp_path))
    root = BENCHMARKS.parent
    options = [
        "--models",
        "google-bert/bert-base-uncased",
        "--lengths",
        "128",
        "--precisions",
        "bf16",
        "--peft",
        "LoRA",
    ]
    config = ["--config", str(root / "configs/tune-batch.yaml"), "--checkpointing", "off", "--predict"]
    assert main(["tune-batch", *config, *options]) == 0
    (entry,) = read_calibration(tmp_path / "calibration.json").entries
    add_entry(tmp_path / "probed.json", entry.model_copy(update={"method": "predicted"}))
    said = run("prediction_error.py", str(tmp_path / "probed.json"), cwd=root)
    assert "median error +0.0%, largest +0.0% over 1 settings" in said or "-0.0%" in said
