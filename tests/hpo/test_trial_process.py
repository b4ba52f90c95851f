"""Fits in processes of their own, as a search runs them."""

import json
import os
import signal
import threading
import time
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path

import pytest
import yaml
from heard import Heard
from tiny_runs import fit_options

from redsm5.cli import main
from redsm5.hpo.messages import Task
from redsm5.hpo.taking_over import take_over
from redsm5.hpo.trial import FROM_OUTSIDE, config_text, run_attempt
from redsm5.hpo.trial_process import TrialProcess
from redsm5.hpo.usage import Usage
from redsm5.metrics_csv import read_epochs


@pytest.fixture
def task(tiny_corpus_dir, tiny_encoder, tmp_path):
    def made(name, *more):
        run_dir = tmp_path / name
        args = fit_options(tiny_corpus_dir, tiny_encoder, run_dir, "--early_stopping.monitor=val_f1_macro", *more)
        args = [arg for arg in args[1:] if not arg.startswith("--run_dir")]
        return Task(
            tuple(args),
            str(run_dir),
            "val_f1_macro",
            "val_auprc_macro",
            str(tmp_path / f"{name}.log"),
            time.monotonic(),
        )

    return made


def test_fit_reports_every_epoch_and_is_the_fit_of_the_command_line(task, tmp_path, capfd):
    heard, asked = Heard(), task("trial")
    ended = heard.process().run(asked)
    assert ended.how == "trained"
    assert ended.memory_gb > 0.1
    rows = read_epochs(tmp_path / "trial" / "metrics.csv")
    assert [(e.number, e.value) for e in heard.epochs] == [(row["epoch"], row["val_auprc_macro"]) for row in rows]
    assert len(heard.started) == 1
    assert heard.started[0].epoch == 0
    assert capfd.readouterr().out == ""
    log = tmp_path / "trial.log"
    assert "report:" in log.read_text(encoding="utf-8")
    assert log.stat().st_mode & 0o077 == 0

    text = config_text(tmp_path, tmp_path / "trial", tmp_path / "again", asked.args)
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert main(["fit", "--config", str(tmp_path / "config.yaml")]) == 0
    assert read_best(tmp_path / "again") == read_best(tmp_path / "trial")


def read_best(run_dir):
    facts = json.loads((run_dir / "training.json").read_text(encoding="utf-8"))
    return facts["best_value"], facts["best_epoch"], facts["epochs"]


def test_fit_whose_fork_server_is_killed_goes_on(task, tmp_path):
    heard, asked = Heard(), task("trial", "--trainer.max_epochs=6")

    def kill_server(epoch):
        heard.epochs.append(epoch)
        if len(heard.epochs) == 2:
            os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)
            os.kill(int(json.loads((tmp_path / "trial" / ".lock").read_text())["pid"]), signal.SIGKILL)
        return False

    ended = TrialProcess(lambda _: None, kill_server, stuck_seconds=120).run(asked)
    assert (ended.how, ended.reason) == ("killed", "killed with the server that it was forked from")
    assert ended.reason in FROM_OUTSIDE
    assert heard.process().run(asked).how == "trained"


def test_stage_of_pretraining_is_made_in_a_process_of_its_own_and_counted_apart(task, tmp_path):
    tapt = ["--pretraining.use_tapt=true", "--pretraining.tapt_epochs=1", "--pretraining.max_length=32"]
    heard = Heard()
    asked = task("trial", *tapt, f"--data.cache_dir={tmp_path / 'cache'}")
    assert heard.process().run(asked).how == "trained"
    assert 0 < heard.started[0].pretraining < heard.started[0].seconds
    assert "perplexity of the held-out texts" in (tmp_path / "trial.log").read_text(encoding="utf-8")
    assert heard.process().run(replace(asked, run_dir=str(tmp_path / "again"))).how == "trained"
    assert heard.started[1].pretraining == 0.0
    assert read_best(tmp_path / "again") == read_best(tmp_path / "trial")


def test_stage_that_cannot_be_made_ends_the_fit_with_its_sentence(task, tmp_path):
    dapt = ["--pretraining.use_dapt=true", f"--pretraining.texts={tmp_path / 'none.txt'}"]
    ended = Heard().process().run(task("trial", *dapt))
    assert ended.how == "refused"
    assert "none.txt" in ended.detail


def test_stage_whose_process_is_killed_counts_as_a_kill_of_the_fit(task, tmp_path):
    tapt = ["--pretraining.use_tapt=true", "--pretraining.tapt_epochs=2", "--pretraining.max_length=32"]
    tapt += ["--pretraining.batch_tokens=32"]  # many steps: it is killed amid them
    asked = task("trial", *tapt, f"--data.cache_dir={tmp_path / 'cache'}")

    def kill():
        begun = []
        while not begun:
            time.sleep(0.05)
            begun = [log for log in tmp_path.glob("cache/pretraining/*/run.jsonl") if b"\n" in log.read_bytes()]
        (log,) = begun
        start = json.loads(log.read_text(encoding="utf-8").splitlines()[0])
        os.kill(start["context"]["pid"], signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    heard = Heard()
    ended = heard.process().run(asked)
    assert (ended.how, ended.reason) == ("killed", "killed by SIGKILL")
    assert heard.started == []


def test_pruned_fit_stops_after_the_epoch_and_has_a_report(task, tmp_path):
    heard = Heard(prune_after=1)
    assert heard.process().run(task("trial")).how == "pruned"
    assert [epoch.number for epoch in heard.epochs] == [0, 1]
    logged = [row["val_auprc_macro"] for row in read_epochs(tmp_path / "trial" / "metrics.csv")]
    assert [epoch.value for epoch in heard.epochs] == logged  # of the metric that is pruned by, not of the objective
    report = json.loads((tmp_path / "trial" / "report.json").read_text(encoding="utf-8"))
    assert list(report["evaluations"]) == ["val"]
    assert report["training"]["epochs"] == 2


def test_pruned_fit_that_was_killed_before_its_end_is_still_pruned(task, tmp_path, monkeypatch):
    assert Heard(prune_after=1).process().run(task("trial")).how == "pruned"
    for name in ("report.json", "view-val.html"):  # as if it had been killed in the evaluation
        (tmp_path / "trial" / name).unlink()
    assert take_over(tmp_path / "trial", tmp_path / "next").epoch == 1
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


def test_metric_that_is_not_logged_is_an_error(task, tmp_path):
    asked = task("trial")
    wrong = Task(asked.args, asked.run_dir, "val_f1_macro", "val_nothing", asked.log, time.monotonic())
    ended = Heard().process().run(wrong)
    assert ended.how == "refused"
    assert ended.detail.startswith("val_nothing is not logged; choose among ")
    assert "val_auprc_macro, " in ended.detail


def test_fit_that_crashes_is_told_by_its_place_and_its_log_has_the_traceback(task):
    asked = task("trial", "--trainer.max_epochs=1")
    broken = replace(asked, prune_by=["val_loss"])  # as a mistake of ours would be
    ended = Heard().process().run(broken)
    assert ended.how == "crashed"
    assert ended.reason.startswith("crashed: TypeError at watcher.py:")
    assert "Traceback (most recent call last)" in Path(asked.log).read_text(encoding="utf-8")


# Processes that load data outlive a killed fit for some seconds.
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_fit_goes_on_from_its_checkpoint(task, tmp_path, workers):
    heard = Heard()
    asked = task("attempt-1", f"--data.workers={workers}")
    process = TrialProcess(heard.started.append, _kill_once(heard, tmp_path / "attempt-1"), stuck_seconds=120)
    outcome = run_attempt(
        asked.args, tmp_path, tmp_path / "attempt-1", "val_f1_macro", "val_f1_macro", "max", process.run
    )
    assert (outcome.ended.how, outcome.kills) == ("trained", 1)
    # The epoch in which it was killed is done again, from the checkpoint of the one before.
    assert [epoch.number for epoch in heard.epochs] == [0, 1, 1, 2, 3]
    assert [start.epoch for start in heard.started] == [0, 1]
    assert heard.epochs[1].value == heard.epochs[2].value
    rows = read_epochs(tmp_path / "attempt-1" / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    usage = Usage.of(tmp_path / "attempt-1")
    assert usage.memory_gb == outcome.ended.memory_gb
    assert 0 < usage.seconds < outcome.seconds
    untouched = Heard()
    assert untouched.process().run(task("whole")).how == "trained"
    assert read_best(tmp_path / "whole") == read_best(tmp_path / "attempt-1")


def test_fit_may_have_processes_that_load_its_data(task, tmp_path):
    heard = Heard()
    assert heard.process().run(task("trial", "--data.workers=1", "--trainer.max_epochs=1")).how == "trained"
    assert len(heard.epochs) == 1


def test_fit_that_is_told_to_end_from_outside_says_so_and_can_go_on(task, tmp_path):
    def terminate(epoch):
        if epoch.number == 1:
            os.kill(int(json.loads((tmp_path / "trial" / ".lock").read_text())["pid"]), signal.SIGTERM)
        return False

    asked = task("trial", "--trainer.max_epochs=200")
    ended = TrialProcess(lambda _: None, terminate, stuck_seconds=120).run(asked)
    assert (ended.how, ended.reason) == ("killed", "killed by SIGTERM")
    assert take_over(tmp_path / "trial", tmp_path / "next").epoch >= 1


def test_fit_whose_worker_is_told_to_end_saves_where_it_stands(task, tmp_path):
    """Amid an epoch, as a job whose time is up: the next one goes on from there, or it would never come to an end."""

    def begun(message):
        main_thread = threading.main_thread().ident
        threading.Timer(0.5, signal.pthread_kill, (main_thread, signal.SIGINT)).start()

    asked, lines = task("trial", "--data.batching.train=1", "--trainer.max_epochs=1000"), []
    heard = Heard()
    process = TrialProcess(begun, heard._epoch, stuck_seconds=120, tell=lines.append)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            process.run(asked)
    finally:
        signal.signal(signal.SIGINT, before)
    kept = take_over(tmp_path / "trial", tmp_path / "next")
    assert kept.step > 0
    assert lines == ["the trial saves where it stands, within 20 s"]
    assert "stopped " in Path(asked.log).read_text(encoding="utf-8")
    assert [epoch.number for epoch in heard.epochs] == list(range(kept.epoch + 1))


def test_epoch_that_is_told_while_the_worker_is_told_to_end_is_stored(task, tmp_path):
    told = []

    def cut_off_once(epoch):
        told.append(epoch.number)
        if told == [0]:
            raise KeyboardInterrupt  # between asking the database and answering the fit, which waits
        return False

    process = TrialProcess(lambda _: None, cut_off_once, stuck_seconds=120)
    with pytest.raises(KeyboardInterrupt):
        process.run(task("trial", "--trainer.max_epochs=1000"))
    assert told == [0, 0]
    assert take_over(tmp_path / "trial", tmp_path / "next").epoch == 0


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


def test_fit_of_which_nothing_is_heard_is_ended(task, monkeypatch):
    monkeypatch.setattr("redsm5.hpo.trial_process.POLL", 0.01)  # less than any start or epoch takes
    ended = Heard().process(stuck_seconds=0.0).run(task("trial", "--trainer.max_epochs=1000"))
    assert (ended.how, ended.reason) == ("stuck", "nothing was heard of it")


def test_batch_after_memory_was_short_is_in_the_config(task, tmp_path):
    ours = iter(["out of memory", None])

    def fit(asked):
        ended = Heard().process().run(asked)
        short = next(ours)
        return ended if short is None else type(ended)(short, short)

    asked = task("attempt-1", "--trainer.max_epochs=1")
    outcome = run_attempt(asked.args, tmp_path, tmp_path / "attempt-1", "val_f1_macro", "val_f1_macro", "max", fit)
    assert outcome.ended.how == "trained"
    config = yaml.safe_load((tmp_path / "attempt-1" / "config.yaml").read_text(encoding="utf-8"))
    assert config["data"]["batching"]["init_args"] == {"train": 4, "eval": 8}
    assert config["trainer"]["accumulate_grad_batches"] == 2
