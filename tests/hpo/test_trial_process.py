"""Fits in processes of their own, as a search runs them."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import yaml
from tiny_runs import fit_options

from redsm5.cli import main
from redsm5.hpo.messages import Task
from redsm5.hpo.trial import run_attempt, take_over, write_config
from redsm5.hpo.trial_process import TrialProcess
from redsm5.metrics_csv import read_epochs


@pytest.fixture
def task(tiny_corpus_dir, tiny_encoder, tmp_path):
    def made(name, *more):
        run_dir = tmp_path / name
        args = fit_options(tiny_corpus_dir, tiny_encoder, run_dir, "--early_stopping.monitor=val_f1_macro", *more)
        args = [arg for arg in args[1:] if not arg.startswith("--run_dir")]
        return Task(tuple(args), str(run_dir), "val_f1_macro", str(tmp_path / f"{name}.log"), time.monotonic())

    return made


class Heard:
    """What a fit said."""

    def __init__(self, prune_after=99):
        self.started, self.epochs, self.prune_after = [], [], prune_after

    def process(self, stuck_seconds=120.0):
        return TrialProcess(self.started.append, self._epoch, stuck_seconds=stuck_seconds)

    def _epoch(self, epoch):
        self.epochs.append(epoch)
        return epoch.number >= self.prune_after


def test_fit_reports_every_epoch_and_is_the_fit_of_the_command_line(task, tmp_path, capfd):
    heard, asked = Heard(), task("trial")
    ended = heard.process().run(asked)
    assert ended.how == "trained"
    assert ended.memory_gb > 0.1
    rows = read_epochs(tmp_path / "trial" / "metrics.csv")
    assert [(e.number, e.value) for e in heard.epochs] == [(row["epoch"], row["val_f1_macro"]) for row in rows]
    assert len(heard.started) == 1
    assert heard.started[0].epoch == 0
    assert capfd.readouterr().out == ""
    log = tmp_path / "trial.log"
    assert "report:" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o077 == 0

    write_config(tmp_path, tmp_path / "trial", tmp_path / "again")
    assert main(["fit", "--config", str(tmp_path / "config.yaml")]) == 0
    assert read_best(tmp_path / "again") == read_best(tmp_path / "trial")


def read_best(run_dir):
    facts = json.loads((run_dir / "training.json").read_text(encoding="utf-8"))
    return facts["best_value"], facts["best_epoch"], facts["epochs"]


def test_pruned_fit_stops_after_the_epoch_and_has_a_report(task, tmp_path):
    heard = Heard(prune_after=1)
    assert heard.process().run(task("trial")).how == "pruned"
    assert [epoch.number for epoch in heard.epochs] == [0, 1]
    report = json.loads((tmp_path / "trial" / "report.json").read_text(encoding="utf-8"))
    assert list(report["evaluations"]) == ["val"]
    assert report["training"]["epochs"] == 2


def test_pruned_fit_that_was_killed_before_its_end_is_still_pruned(task, tmp_path, monkeypatch):
    assert Heard(prune_after=1).process().run(task("trial")).how == "pruned"
    for name in ("report.json", "view-val.html"):  # as if it had been killed in the evaluation
        (tmp_path / "trial" / name).unlink()
    assert take_over(tmp_path / "trial", tmp_path / "next") == 1
    heard = Heard()
    assert heard.process().run(task("next")).how == "pruned"
    assert heard.epochs == []


@pytest.mark.parametrize(
    ("more", "how", "reason"),
    [
        (("--model.optimizer.lr=1e30", "--trainer.gradient_clip_val=0"), "diverged", "diverged"),
        (("--model.nope=3",), "refused", "refused: there is no key model.nope"),
    ],
)
def test_fit_that_fails_says_why(task, more, how, reason):
    ended = Heard().process().run(task("trial", *more))
    assert ended.how == how
    assert ended.reason.startswith(reason)
    assert ended.detail != ""


def test_metric_that_is_not_logged_is_an_error_and_told_by_its_place(task, tmp_path):
    asked = task("trial")
    wrong = Task(asked.args, asked.run_dir, "val_nothing", asked.log, time.monotonic())
    ended = Heard().process().run(wrong)
    assert (ended.how, ended.reason.partition(":")[0]) == ("crashed", "crashed")
    assert "KeyError at watcher.py" in ended.reason
    assert "val_nothing is not logged" in Path(asked.log).read_text(encoding="utf-8")


def test_killed_fit_goes_on_from_its_checkpoint(task, tmp_path):
    heard = Heard()
    asked = task("attempt-1")
    process = TrialProcess(heard.started.append, _kill_once(heard, tmp_path / "attempt-1"), stuck_seconds=120)
    outcome = run_attempt(asked.args, tmp_path, tmp_path / "attempt-1", "val_f1_macro", "max", process.run)
    assert (outcome.ended.how, outcome.kills) == ("trained", 1)
    # The epoch in which it was killed is done again, from the checkpoint of the one before.
    assert [epoch.number for epoch in heard.epochs] == [0, 1, 1, 2, 3]
    assert [start.epoch for start in heard.started] == [0, 1]
    assert heard.epochs[1].value == heard.epochs[2].value
    rows = read_epochs(tmp_path / "attempt-1" / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    untouched = Heard()
    assert untouched.process().run(task("whole")).how == "trained"
    assert read_best(tmp_path / "whole") == read_best(tmp_path / "attempt-1")


def _kill_once(heard, run_dir):
    def on_epoch(epoch):
        heard.epochs.append(epoch)
        if len(heard.epochs) == 2:
            os.kill(int(json.loads((run_dir / ".lock").read_text())["pid"]), signal.SIGKILL)
        return False

    return on_epoch


def test_fit_ends_when_its_worker_says_so(task):
    process = TrialProcess(lambda _: None, lambda _: False, stuck_seconds=120)
    threading.Timer(0.2, process.end).start()
    started = time.monotonic()
    ended = process.run(task("trial", "--trainer.max_epochs=1000"))
    assert ended.how == "killed"
    assert process.was_ended
    assert time.monotonic() - started < 60


def test_fit_of_which_nothing_is_heard_is_ended(task):
    ended = Heard().process(stuck_seconds=0.0).run(task("trial", "--trainer.max_epochs=1000"))
    assert (ended.how, ended.reason) == ("stuck", "nothing was heard of it")


def test_batch_after_memory_was_short_is_in_the_config(task, tmp_path):
    ours = iter(["out of memory", None])

    def fit(asked):
        ended = Heard().process().run(asked)
        short = next(ours)
        return ended if short is None else type(ended)(short, short)

    asked = task("attempt-1", "--trainer.max_epochs=1")
    outcome = run_attempt(asked.args, tmp_path, tmp_path / "attempt-1", "val_f1_macro", "max", fit)
    assert outcome.ended.how == "trained"
    config = yaml.safe_load((tmp_path / "attempt-1" / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["batching"]["init_args"] == {"train": 4, "eval": 8}
    assert config["trainer"]["accumulate_grad_batches"] == 2
