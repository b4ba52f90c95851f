"""``fit --tune_batch`` through its real entry point."""

import pytest
import yaml
from tiny_runs import fit_options

from redsm5.batch_search.calibration import default_file, read_calibration
from redsm5.cli import main


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REDSM5_CACHE", str(tmp_path / "cache"))


def sizes(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["tune_batch"] is False
    return config["data"]["batching"]["init_args"]


def metrics(run):
    rows = (run / "metrics.csv").read_text().splitlines()
    return [row for row in rows if "seconds" not in row and "tokens_per" not in row]


def test_fit_with_tune_batch_is_the_fit_with_the_sizes_that_were_found(tiny_corpus_dir, tiny_encoder, tmp_path, capsys):
    """The search leaves no trace in what is trained: weights, steps and random numbers are those of a plain fit."""
    options = fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "tuned", "--trainer.max_epochs=2")
    assert main([*options, "--tune_batch"]) == 0
    said = capsys.readouterr()
    assert "windows of 32 tokens fit" in said.out
    assert "windows in training" in said.err
    found = sizes(tmp_path / "tuned")
    assert found["train"] == 42 // 4
    plain = fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "plain", "--trainer.max_epochs=2")
    more = [f"--data.batching.init_args.{name}={value}" for name, value in found.items()]
    assert main([*plain, *more]) == 0
    assert metrics(tmp_path / "plain") == metrics(tmp_path / "tuned")
    # What was found holds for the next fit of the same setting, and for a run that goes on.
    capsys.readouterr()
    again = fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "again", "--trainer.max_epochs=1")
    assert main([*again, "--tune_batch"]) == 0
    assert "windows in training" not in capsys.readouterr().err
    assert sizes(tmp_path / "again") == found
    assert len(read_calibration(default_file()).entries) == 1


def test_fit_with_tune_batch_goes_on_with_the_sizes_of_the_run(tiny_corpus_dir, tiny_encoder, tmp_path, capsys):
    options = fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", "--trainer.max_epochs=2")
    assert main([*options, "--data.batching.init_args.train=7"]) == 0
    (tmp_path / "run" / "report.json").unlink()
    assert main([*options, "--tune_batch"]) == 0
    assert sizes(tmp_path / "run")["train"] == 7
    assert "goes on with its batches (train 7, eval 16)" in capsys.readouterr().err
    assert not default_file().exists()


def test_fit_with_tune_batch_refuses_several_processes_from_the_start(
    tiny_corpus_dir, tiny_encoder, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("redsm5.run.tuned_batch.is_further_rank", lambda: True)
    assert main([*fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run"), "--tune_batch"]) == 2
    assert "run redsm5 tune-batch first" in capsys.readouterr().err


def test_fit_with_tune_batch_in_a_config_and_off_again(tiny_corpus_dir, tiny_encoder, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("tune_batch: true\n")
    options = fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", "--trainer.max_epochs=1")
    assert main([*options, "--config", str(config), "--no_tune_batch"]) == 0
    assert not default_file().exists()
