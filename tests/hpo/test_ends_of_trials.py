"""What ended the process of a trial, and the memory that it took."""

import contextlib
import os
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from heard import Heard
from pretrain_runs import pretrain_options

from redsm5.hpo import child, trial_process
from redsm5.hpo.messages import NO_MEMORY, Ended, Epoch, Stage, Task
from redsm5.hpo.trial_process import oom_kills
from redsm5.hpo.usage import Usage

RANKS = {
    "SLURM_NTASKS": "4", "SLURM_NTASKS_PER_NODE": "4", "SLURM_PROCID": "3", "SLURM_NNODES": "2", "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1", "LOCAL_RANK": "1", "NODE_RANK": "1", "GROUP_RANK": "1", "RANK": "3", "WORLD_SIZE": "4",
}  # fmt: skip


class Said:
    """Stands for the pipe of a process that says these and then is killed; the kernel's count goes up on its way."""

    def __init__(self, *messages):
        self.messages, self.kills = list(messages), 0

    def poll(self, seconds):
        return True

    def send(self, answer):
        pass

    def recv(self):
        message = self.messages.pop(0)
        if message == "kernel kills one":
            self.kills += 1
            return self.recv()
        if isinstance(message, int):
            raise EOFError
        return message


@pytest.mark.parametrize(
    ("said", "how"),
    [
        (["kernel kills one", -signal.SIGKILL], "out of memory"),
        ([Epoch(0, 0.5), "kernel kills one", -signal.SIGKILL], "out of memory"),
        (["kernel kills one", Epoch(0, 0.5), -signal.SIGKILL], "killed"),  # it was another process, hours ago
        (["kernel kills one", -signal.SIGTERM], "killed"),
        (["kernel kills one", Ended("diverged", "diverged")], "diverged"),
    ],
)
def test_kill_is_for_want_of_memory_where_the_kernel_has_killed_since_the_last_word(monkeypatch, said, how):
    pipe = Said(*said)
    process = SimpleNamespace(join=lambda: None, exitcode=said[-1])
    monkeypatch.setattr(trial_process, "forked", lambda *_: contextlib.nullcontext((process, pipe)))
    monkeypatch.setattr(trial_process, "oom_kills", lambda: pipe.kills)
    assert Heard().process().run(Task((), "", "", "", "", 0.0)).how == how


class Lines(Said):
    """The same of a stage, which prints lines."""

    def __init__(self, log, *messages):
        super().__init__(*messages)
        self.log = log

    def poll(self, seconds):
        while self.messages[0] == "kernel kills one":
            self.messages.pop(0)
            self.kills += 1
        if self.messages[0] != "line":
            return True
        self.messages.pop(0)
        with self.log.open("a") as file:
            file.write("line\n")
        return False


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (["line", "kernel kills one", -signal.SIGKILL], NO_MEMORY),
        (["kernel kills one", "line", -signal.SIGKILL], 128 + signal.SIGKILL),  # it was another process
        (["line", "kernel kills one", -signal.SIGTERM], 128 + signal.SIGTERM),
        (["line", -signal.SIGKILL], 128 + signal.SIGKILL),
    ],
)
def test_stage_that_the_kernel_kills_for_want_of_memory_is_out_of_memory(monkeypatch, tmp_path, said, code):
    pipe = Lines(tmp_path / "log", *said)
    process = SimpleNamespace(join=lambda: None, exitcode=said[-1], pid=None)
    monkeypatch.setattr(trial_process, "forked", lambda *_: contextlib.nullcontext((process, pipe)))
    monkeypatch.setattr(trial_process, "oom_kills", lambda: pipe.kills)
    assert Heard().process()._make(Stage(()), str(tmp_path / "log")) == code


def test_stage_that_runs_out_of_memory_has_an_exit_code_of_its_own(
    tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch, capsys
):
    def full(module, batch, index):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    sent = []
    for name in ("end_with", "print_into", "leave_to_worker"):
        monkeypatch.setattr(child, name, lambda *_: None)
    monkeypatch.setattr("redsm5.modules.mlm.MLMModule.training_step", full)
    args = pretrain_options(tiny_corpus_dir, tiny_encoder, tmp_path / "cache")[1:]
    child.serve_stage(Stage(tuple(args)), "", SimpleNamespace(send=sent.append))
    assert sent == [NO_MEMORY]
    assert "out of memory: lower pretraining.batch_tokens" in capsys.readouterr().out


def test_fit_whose_stage_ran_out_of_memory_says_of_what():
    how, reason, detail = child.ending_of(lambda: NO_MEMORY, "log.txt")
    assert (how, reason) == ("out of memory in pretraining", "out of memory")
    assert detail == "a stage of its pretraining did not fit into memory; log.txt says more"


def test_fit_that_its_worker_ended_is_never_out_of_memory(monkeypatch):
    counts = iter(range(100))
    monkeypatch.setattr(trial_process, "forked", lambda *_: contextlib.nullcontext((None, Said())))
    monkeypatch.setattr(trial_process, "oom_kills", lambda: next(counts))
    process = Heard().process()
    process.end()
    ended = process.run(Task((), "", "", "", "", 0.0))
    assert (ended.how, ended.reason) == ("killed", "ended by its worker")


def test_oom_kills_are_counted_by_the_kernel(tmp_path, monkeypatch):
    vmstat = tmp_path / "vmstat"
    monkeypatch.setattr(trial_process, "VMSTAT", vmstat)
    assert oom_kills() == 0  # there is none
    vmstat.write_text("nr_free_pages 100\nnuma_miss 5\noom_kill 17\noom_kill_other 3\n", encoding="ascii")
    assert oom_kills() == 17
    vmstat.write_text("nr_free_pages 100\n", encoding="ascii")  # of an old kernel
    assert oom_kills() == 0


@pytest.mark.parametrize(("reserved", "gb"), [(3 * 2**30, 3.0), (0, None)])
def test_memory_of_a_trial_on_a_cpu_is_that_of_its_process_though_there_is_a_gpu(monkeypatch, reserved, gb):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.max_memory_reserved", lambda: reserved)
    assert child._peak_gb() == gb if gb else child._peak_gb() > 0.1


def test_memory_of_a_trial_is_the_most_of_all_its_processes(tmp_path, monkeypatch):
    task = Task((), str(tmp_path), "", "", "", time.monotonic(), spent=100.0)
    for peak, most in ((2.0, 2.0), (0.5, 2.0), (3.0, 3.0)):
        monkeypatch.setattr(child, "_peak_gb", lambda peak=peak: peak)
        child._note_usage(task)
        assert Usage.of(tmp_path).memory_gb == most
    assert 100.0 <= Usage.of(tmp_path).seconds < 200.0


@pytest.mark.parametrize("serve", ["serve", "serve_stage"])
def test_process_of_a_trial_is_no_rank_of_its_workers_job(monkeypatch, tmp_path, serve):
    seen = {}
    for name, value in {**RANKS, "SLURM_JOB_ID": "17"}.items():
        monkeypatch.setenv(name, value)
    for name in ("end_with", "print_into"):
        monkeypatch.setattr(child, name, lambda *_: None)
    monkeypatch.setattr(child.signal, "signal", lambda *_: None)
    monkeypatch.setattr(child.fit, "run", lambda *_, **__: seen.update(os.environ) or 128 + signal.SIGTERM)
    monkeypatch.setattr("redsm5.commands.pretrain.run", lambda *_: seen.update(os.environ) or 0)
    pipe = Said()
    if serve == "serve":
        child.serve(Task((), str(tmp_path), "val_loss", "val_loss", "", 0.0), pipe)
    else:
        child.serve_stage(Stage(()), "", pipe)
    assert seen["SLURM_JOB_ID"] == "17"
    assert not seen.keys() & RANKS.keys()
