"""A fit with a section ``pretraining``: the stage first, in a child, then a fit on a plain path."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from tiny_runs import fit_options

from redsm5.cli import main
from redsm5.pretraining import resolve
from redsm5.pretraining.options import Pretraining
from redsm5.pretraining.record import read_record
from redsm5.run.folder import RunFolder

LIVING = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def options(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    cache = tmp_path_factory.mktemp("resolve") / "cache"
    more = (
        f"--data.cache_dir={cache}", "--pretraining.use_tapt=true", "--pretraining.max_length=32",
        "--pretraining.batch_tokens=512", "--pretraining.lr=0.001", "--trainer.max_epochs=1",
    )  # fmt: skip
    return lambda run_dir, *others: fit_options(tiny_corpus_dir, tiny_encoder, run_dir, *more, *others)


@pytest.fixture(scope="module")
def run(options, tmp_path_factory):
    folder = RunFolder(tmp_path_factory.mktemp("resolve") / "run")
    assert main(options(folder.path)) == 0
    return folder


@pytest.fixture
def no_child(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a stage was made"))


def test_config_of_the_run_has_a_plain_path_and_nothing_to_resolve(run, tiny_encoder):
    config = yaml.safe_load(run.config.read_text())
    assert config["pretraining"] == dataclasses.asdict(Pretraining())
    record = read_record(run.path)
    assert config["model"]["encoder"]["id"].endswith(f"tapt-{record.key}/epoch-1")
    assert record.encoder == str(tiny_encoder)
    assert record == read_record(Path(config["model"]["encoder"]["id"]))


def test_view_of_the_run_shows_the_pretraining(run):
    page = run.view("val").read_text()
    record = read_record(run.path)
    assert 'id="panel-pretraining"' in page
    assert "TAPT: the training posts" in page
    for point in record.curve:
        assert f"{point.perplexity:.2f}" in page
    assert "Perplexity by epoch, TAPT" in page


def test_second_fit_takes_the_stage_that_is_there(run, options, no_child, tmp_path):
    assert main(options(tmp_path / "run", "--model.optimizer.lr=0.001")) == 0
    paths = [
        yaml.safe_load((f / "config.yaml").read_text())["model"]["encoder"]["id"] for f in (run.path, tmp_path / "run")
    ]
    assert paths[0] == paths[1]


def test_same_command_finds_its_run_again(run, options, no_child, capsys):
    assert main(options(run.path)) == 2
    assert "holds a finished run" in capsys.readouterr().err


def test_resolved_config_repeats_the_run_without_pretraining(run, no_child, tmp_path):
    assert main(["fit", "--config", str(run.config), f"--run_dir={tmp_path / 'again'}"]) == 0
    again = yaml.safe_load((tmp_path / "again" / "config.yaml").read_text())
    assert again | {"run_dir": ""} == yaml.safe_load(run.config.read_text()) | {"run_dir": ""}
    assert (tmp_path / "again" / "metrics.csv").read_text().count("\n") == run.metrics.read_text().count("\n")
    assert (tmp_path / "again" / "pretraining.json").read_text() == run.pretraining.read_text()


def test_run_on_a_pretrained_encoder_is_tested_and_predicts(run, tiny_corpus_dir, tmp_path):
    assert main(["test", str(run.path)]) == 0
    posts = str(tiny_corpus_dir / "redsm5_posts.csv")
    assert main(["predict", str(run.path), "--posts", posts, "--out", str(tmp_path / "out.jsonl")]) == 0
    assert main(["export", str(run.path), "--out", str(tmp_path / "model")]) == 0


def test_without_the_section_nothing_is_resolved(no_child):
    args = ["--config", "configs/fit.yaml", "--data.path", "x"]
    assert resolve.with_pretrained_encoder(args) == args
    assert (
        resolve.with_pretrained_encoder([*args, "--pretraining.use_tapt=true", "--print_config"])[-1]
        == "--print_config"
    )


def test_epochs_of_zero_are_no_pretraining(options, no_child, tmp_path):
    args = options(tmp_path, "--pretraining.tapt_epochs=0")[1:]
    assert resolve.with_pretrained_encoder(args) == args


@pytest.mark.parametrize("code", [2, 130])
def test_fit_ends_as_the_child_that_was_to_make_the_stage(code, options, monkeypatch, tmp_path):
    class Child:
        def wait(self):
            return code

    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: Child())
    assert main(options(tmp_path / "run", "--seed_everything=5")) == code
    assert not (tmp_path / "run").exists()


def test_signals_reach_the_child_and_come_back_as_its_code(monkeypatch):
    """A child that lives until it is asked to end, as a training does."""
    real = subprocess.Popen

    def popen(_, env):
        assert "SLURM_NTASKS" not in env
        assert env["SLURM_PROCID"] == "0"
        child = real([sys.executable, "-c", LIVING], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "up\n"
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return child

    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setattr(subprocess, "Popen", popen)
    before = signal.getsignal(signal.SIGTERM)
    assert resolve.in_fresh_process([]) == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_key_follows_the_training_posts(options, run, tmp_path):
    """Another split: another stage."""
    from redsm5.cli import build_cli
    from redsm5.pretraining.chain import chain_of

    def key(*more):
        chain = chain_of(build_cli(options(tmp_path, *more)[1:], parse_only=True).config)
        return chain.stages[-1].recipe.key

    assert key() == read_record(run.path).key
    assert len({key(), key("--data.split_seed=1"), key("--seed_everything=1")}) == 3
    assert key("--model.optimizer.lr=0.5", "--model.encoder.hidden_dropout=0.3", "--trainer.max_epochs=7") == key()
    assert re.fullmatch("[0-9a-f]{32}", key())
