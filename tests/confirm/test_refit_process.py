"""The process of a refit: what it is alone with, and what ends with it."""

import contextlib
import errno
import json
import os
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tiny_runs import fit_options

from redsm5.children import forked
from redsm5.confirm import refit
from redsm5.confirm.refit import RefitTask, make_folder
from redsm5.confirm.sameness import Of
from redsm5.hpo import child

RANKS = {"SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_NNODES": "2", "LOCAL_RANK": "1", "RANK": "3"}


@pytest.fixture
def task(tmp_path):
    """On a fold of some corpus."""
    of = Of(form=1, redsm5="0", config_sha256="c", split_sha256="s")
    files = str(tmp_path / "config.yaml"), 1, 0, str(tmp_path / "split.csv"), str(tmp_path / "refit")
    made = RefitTask(0, *files, "val_f1_macro", of)
    make_folder(made)
    return made


@pytest.fixture
def served(task, monkeypatch):
    """A function that serves the task in this process, with something else for its fit; what it sends."""

    def made(fit):
        sent = []
        monkeypatch.setattr(refit, "end_with", lambda *_: None)
        monkeypatch.setattr(child, "print_into", lambda *_: None)
        monkeypatch.setattr(refit.signal, "signal", lambda *_: None)
        monkeypatch.setattr("redsm5.run.fit.run", fit)
        refit.serve(task, SimpleNamespace(send=sent.append))
        return sent

    return made


def test_refit_is_no_rank_of_a_job(served, monkeypatch):
    seen = {}
    for name, value in RANKS.items():
        monkeypatch.setenv(name, value)
    served(lambda *_, **__: seen.update(os.environ) or 128 + signal.SIGTERM)
    assert seen
    assert not seen.keys() & RANKS.keys()


def test_full_disk_under_a_stage_of_pretraining_is_no_fault_of_the_trial(served, monkeypatch):
    code = child.MACHINE_FAULT
    stage = contextlib.nullcontext((None, SimpleNamespace(recv=lambda: code)))
    monkeypatch.setattr(refit, "forked", lambda *_: stage)
    [ended] = served(lambda _, make_stage: make_stage(["--config", "x"]))
    assert ended.how == "machine"


def test_full_disk_under_the_result_is_no_fault_of_the_trial(served, task, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(refit, "_refit", lambda *_: 0)
    monkeypatch.setattr(refit, "_result", lambda *_: task.failed(""))
    monkeypatch.setattr(refit, "write_text_atomically", full)
    [ended] = served(None)
    assert ended.how == "machine"


@pytest.mark.slow
def test_stage_of_pretraining_ends_with_its_refit(task, tiny_corpus_dir, tiny_encoder, tmp_path):
    tapt = ("--pretraining.use_tapt=true", "--pretraining.tapt_epochs=2", "--pretraining.max_length=32")
    tapt += ("--pretraining.batch_tokens=32", f"--data.cache_dir={tmp_path / 'cache'}")
    (tmp_path / "config.yaml").write_text("seed_everything: 0\n", encoding="utf-8")
    options = fit_options(tiny_corpus_dir, tiny_encoder, task.folder, *tapt, "--data.split_file=null")[1:]
    with forked(refit.serve, replace(task, batches=tuple(options))) as (_, pipe):
        pid = None
        while pid is None:
            assert not pipe.poll(0.1), pipe.recv()
            for log in tmp_path.glob("cache/pretraining/*/run.jsonl"):
                if b"\n" in (said := log.read_bytes()):
                    pid = json.loads(said.splitlines()[0])["context"]["pid"]
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and os.path.exists(f"/proc/{pid}"):
        time.sleep(0.1)
    assert not os.path.exists(f"/proc/{pid}")
    assert not list(tmp_path.glob("cache/pretraining/*/epoch-*"))  # it did not just come to its end
