"""``redsm5 hpo`` as its user runs it, on a tiny encoder and corpus."""

import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time

import jsonschema
import psutil
import pytest
import yaml
from searches import reports, search_options

from redsm5.cli import main
from redsm5.hpo import finish, worker
from redsm5.hpo.messages import Ended
from redsm5.hpo.retention import trial_folder
from redsm5.hpo.trial_process import TrialProcess
from redsm5.metrics_csv import read_epochs
from redsm5.report.schema import report_schema


@pytest.fixture
def options(tiny_corpus_dir, tiny_encoder, tmp_path):
    """Options of a search of two epochs a trial."""
    return search_options(tiny_corpus_dir, tiny_encoder, tmp_path)


def drawn(study):
    return [(report["params"], report["state"], report["value"]) for report in reports(study)]


def test_search_runs_its_budget_and_goes_on_to_a_larger_one(options, tmp_path, capfd):
    study = tmp_path / "study"
    assert main(options("--n-trials", "3", "--keep", "1")) == 0
    out = capfd.readouterr().out
    assert [line.split(":")[0] for line in out.splitlines()[:3]] == ["trial 0", "trial 1", "trial 2"]
    assert "on the test part: " in out
    made = reports(study)
    assert [report["trial"] for report in made] == [0, 1, 2]
    for report in made:
        jsonschema.validate(report, report_schema("trial"))
        run = study / report["run"]
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        assert config["model"]["optimizer"]["class_path"].endswith(f".{report['params']['optimizer']}")
        assert config["model"]["optimizer"]["init_args"]["lr"] == report["params"]["lr"]
        assert config["model"]["optimizer"]["init_args"]["betas"] == json.loads(report["params"]["betas"])
        assert report["value"] == max(row["val_f1_macro"] for row in read_epochs(run / "metrics.csv"))
        assert not any(name.startswith("test") for name in report["metrics"])
    whole = json.loads((study / "study.json").read_text(encoding="utf-8"))
    jsonschema.validate(whole, report_schema("study"))
    best = whole["best"][0]["trial"]
    assert whole["counts"] == {"complete": 3, "pruned": 0, "failed": 0, "running": 0, "lost_attempts": 0}
    assert whole["test"]["trial"] == best
    kept = [n for n in range(3) if list(trial_folder(study, n).glob("attempt-*/checkpoints/best-*"))]
    assert kept == [best]
    tested = [n for n in range(3) if list(trial_folder(study, n).glob("attempt-*/predictions-test.jsonl"))]
    assert tested == [best]

    before = [(path, path.stat().st_mtime_ns) for path in sorted(study.glob("trials/*/report.json"))]
    assert main(options("--n-trials", "4", "--keep", "1")) == 0
    assert "going on with" in capfd.readouterr().err
    assert [(path, path.stat().st_mtime_ns) for path in sorted(study.glob("trials/*/report.json"))][:3] == before
    assert len(reports(study)) == 4
    assert main(["hpo", "status", "--study-dir", str(study)]) == 0
    assert capfd.readouterr().out.startswith("4 of 4 trials ended (4 complete, 0 pruned, 0 failed, 0 begun)")


def test_config_of_a_trial_fits_it_again_to_the_same_value(options, tmp_path, monkeypatch):
    assert main(options("--n-trials", "1")) == 0
    (report,) = reports(tmp_path / "study")
    monkeypatch.chdir(tmp_path)
    for name, run_dir in (("study/trials/00000/config.yaml", "runs/study-00000"), ("best.yaml", "runs/best")):
        assert main(["fit", "--config", name]) == 0
        run_dir = tmp_path / run_dir
        training = json.loads((run_dir / "training.json").read_text(encoding="utf-8"))
        assert (training["best_value"], training["best_epoch"]) == (report["value"], report["best_epoch"])


def test_search_that_was_killed_goes_on_as_if_it_had_not_been(options, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    more = ("--n-trials", "4", "--trainer.max_epochs=3")
    assert main(options(*more, study="whole")) == 0
    command = [sys.executable, "-m", "redsm5", *options(*more, study="cut")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _wait_for(lambda: list(cut.glob("trials/00001/attempt-1/checkpoints/last-*")))
        os.kill(process.pid, signal.SIGKILL)
    assert main(options(*more, study="cut")) == 0
    assert drawn(cut) == drawn(whole)
    second = reports(cut)[1]
    assert (second["attempts"], second["run"]) == (2, "trials/00001/attempt-3")
    assert "going on from" in (cut / "trials" / "00001" / "log.txt").read_text(encoding="utf-8")
    assert [path.name for path in (cut / "trials" / "00001").glob("attempt-*")] == ["attempt-3"]
    rows = read_epochs(cut / second["run"] / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1, 2]


def _wait_for(there, seconds=600):
    until = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_two_workers_share_the_budget(options, tmp_path):
    assert main(options("--n-trials", "4", "--workers", "2")) == 0
    made = reports(tmp_path / "study")
    assert [report["trial"] for report in made] == [0, 1, 2, 3]
    assert {report["attempts"] for report in made} == {1}
    assert len({report["worker"] for report in made}) == 2


@pytest.mark.slow
def test_same_seed_gives_the_same_thirty_trials(options, tmp_path):
    """Most of them past the random ones of the start, so that what was found decides, and the pruner too."""
    more = ("--n-trials", "30", "--seed", "5", "--trainer.max_epochs=4", "--pruner-options", '{"n_warmup_steps": 1}')
    more += ("--sampler-options", '{"n_startup_trials": 10}')
    assert main(options(*more, study="one")) == 0
    assert main(options(*more, study="two")) == 0
    assert len(reports(tmp_path / "one")) == 30
    assert drawn(tmp_path / "one") == drawn(tmp_path / "two")
    assert {state for _, state, _ in drawn(tmp_path / "one")} == {"COMPLETE", "PRUNED"}


@pytest.mark.slow
def test_killing_workers_and_trials_at_random_loses_and_doubles_nothing(options, tmp_path):
    study, budget, draw = tmp_path / "study", 12, random.Random(0)
    command = [sys.executable, "-m", "redsm5", *options("--n-trials", str(budget), "--workers", "2")]
    command += ["--trainer.max_epochs=6"]
    killed = 0
    with (tmp_path / "out").open("wb") as out:
        search = subprocess.Popen(command, stdout=out, stderr=out)
        while search.poll() is None:
            time.sleep(draw.uniform(2, 6))
            victims = psutil.Process(search.pid).children(recursive=True) if search.poll() is None else []
            if killed < 15 and len(victims) > 2:
                with contextlib.suppress(psutil.NoSuchProcess):
                    draw.choice(victims).kill()
                    killed += 1
    assert search.returncode == 0, (tmp_path / "out").read_text()
    assert killed == 15
    made = reports(study)
    assert [report["trial"] for report in made] == list(range(budget))
    assert {report["state"] for report in made} <= {"COMPLETE", "PRUNED", "FAIL"}
    for report in made:
        epochs = [row["epoch"] for row in read_epochs(study / report["run"] / "metrics.csv")]
        assert epochs == list(range(report["epochs"]))
    whole = json.loads((study / "study.json").read_text(encoding="utf-8"))
    ended = [whole["counts"][state] for state in ("complete", "pruned", "failed")]
    assert (sum(ended), whole["counts"]["running"]) == (budget, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_or_sigterm_ends_the_trials_and_leaves_no_process(options, tmp_path, workers, number):
    more = ("--n-trials", "50", "--workers", str(workers), "--trainer.max_epochs=50")
    command = [sys.executable, "-m", "redsm5", *options(*more)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    _wait_for(lambda: list((tmp_path / "study").glob("trials/00000/attempt-1/checkpoints/last-*")))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err.splitlines()[-1] == "redsm5: interrupted; run the same command again to go on"
    _wait_for(lambda: not _has_processes(process.pid), seconds=20)


def _has_processes(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_study_that_fails_too_often_stops_with_the_reasons(options, tmp_path, capfd):
    diverging = ("--model.optimizer.head_lr=1e30", "--trainer.gradient_clip_val=0", "--trainer.max_epochs=1")
    assert main(options("--n-trials", "40", *diverging)) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    failed = [report for report in reports(tmp_path / "study") if report["state"] == "FAIL"]
    assert len(failed) > 2
    assert said.startswith(f"redsm5: error: {len(failed)} of 10 trials have failed, more than hpo.max_failed (0.2)")
    assert f"allows: {len(failed)} x diverged; " in said
    assert {(report["reason"], report["value"]) for report in failed} == {("diverged", None)}


def test_full_disk_stops_the_search_and_fails_no_trial(options, tmp_path, capfd, monkeypatch):
    ended = Ended("machine", "machine", "no room for a checkpoint of 3 MB")
    with monkeypatch.context() as patch:
        patch.setattr(TrialProcess, "run", lambda self, task: ended)
        assert main(options("--n-trials", "2")) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said == "redsm5: error: no room for a checkpoint of 3 MB"
    assert reports(tmp_path / "study") == []
    assert main(options("--n-trials", "2")) == 0
    assert [(report["state"], report["attempts"]) for report in reports(tmp_path / "study")] == [
        ("COMPLETE", 2), ("COMPLETE", 1)
    ]  # fmt: skip


def test_full_disk_under_the_worker_itself_fails_no_trial(options, tmp_path, capfd, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "trial-report.json")

    with monkeypatch.context() as patch:
        patch.setattr(worker, "keep_result", full)
        assert main(options("--n-trials", "1")) == 2
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("redsm5: error: trial-report.json cannot be written: No space left on device; make room")
    assert main(options("--n-trials", "1")) == 0
    (report,) = reports(tmp_path / "study")
    assert (report["state"], report["attempts"]) == ("COMPLETE", 2)


def test_folder_of_a_study_may_be_renamed(options, tmp_path, monkeypatch):
    assert main(options("--n-trials", "1", "--trainer.max_epochs=1", study="before")) == 0
    (tmp_path / "before").rename(tmp_path / "after")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["fit", "--config", "../after/trials/00000/config.yaml"]) == 0
    assert (tmp_path / "elsewhere" / "runs" / "before-00000" / "report.json").exists()
    assert not (tmp_path / "before").exists()
    assert main(options("--n-trials", "2", "--trainer.max_epochs=1", study="after")) == 0
    assert [report["trial"] for report in reports(tmp_path / "after")] == [0, 1]


def test_folder_of_another_study_is_refused_and_left_as_it_is(options, tmp_path, capfd):
    study = tmp_path / "study"
    assert main(options("--n-trials", "1", "--trainer.max_epochs=1")) == 0
    before = {path: path.read_bytes() for path in study.rglob("*.yaml")}
    other = f"sqlite:///{tmp_path}/other.db"
    for more in (["--study", "another"], ["--storage", other]):
        capfd.readouterr()
        assert main(options("--n-trials", "2", "--trainer.max_epochs=2", *more)) == 2
        assert f"{study} holds the trials of another study; name that one as it was begun" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in study.rglob("*.yaml")} == before


def test_smaller_budget_ends_the_study_at_it(options, tmp_path):
    assert main(options("--n-trials", "3", "--trainer.max_epochs=1")) == 0
    assert main(options("--n-trials", "2", "--trainer.max_epochs=1")) == 0
    whole = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    assert (whole["budget"], whole["counts"]["complete"]) == (2, 3)


def test_best_trial_is_tested_though_an_earlier_test_was_cut_short(options, tmp_path, monkeypatch):
    def cut(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(finish, "_test", cut)
        assert main(options("--n-trials", "1", "--trainer.max_epochs=1")) == 130
    (run,) = (tmp_path / "study").glob("trials/00000/attempt-*")
    (run / "predictions-test.jsonl").write_text("")  # it had come so far
    assert main(options("--n-trials", "1", "--trainer.max_epochs=1")) == 0
    whole = json.loads((tmp_path / "study" / "study.json").read_text(encoding="utf-8"))
    assert whole["test"]["value"] is not None
    assert whole["test_evaluations"] == 1


def _leases(tmp_path):
    path = tmp_path / "leases.yaml"
    path.write_text("hpo: {lease_seconds: 90}\n", encoding="utf-8")
    return path


def test_several_objectives_have_a_front_and_are_pruned_by_the_first(options, tmp_path, capfd):
    study = tmp_path / "study"
    more = ["--objectives", "val_f1_macro,peak_memory,train_time", "--trainer.max_epochs=3"]
    # Of so few trials one has to be pruned: these are.
    more += ["--sampler-options", '{"n_startup_trials": 3, "n_ei_candidates": 24}']
    more += ["--pruner-options", '{"n_startup_trials": 2, "n_warmup_steps": 0}']
    assert main(options("--n-trials", "8", *more)) == 0
    out = capfd.readouterr().out
    made = reports(study)
    complete = [report for report in made if report["state"] == "COMPLETE"]
    assert {report["state"] for report in made} == {"COMPLETE", "PRUNED"}
    for report in complete:
        training = json.loads((study / report["run"] / "training.json").read_text(encoding="utf-8"))
        assert report["objectives"] == {
            "val_f1_macro": report["value"],
            "peak_memory": report["memory_gb"],
            "train_time": training["seconds"],
        }
    whole = json.loads((study / "study.json").read_text(encoding="utf-8"))
    jsonschema.validate(whole, report_schema("study"))
    assert [one["direction"] for one in whole["objectives"]] == ["maximize", "minimize", "minimize"]
    front = {one["trial"] for one in whole["front"]}
    assert {
        min(complete, key=lambda r: r["objectives"][name])["trial"] for name in ("peak_memory", "train_time")
    } <= front
    assert all(f"on the front: trial {trial}, val_f1_macro" in out for trial in front)
    fastest = whole["front"][-1]["trial"]
    chosen = tmp_path / "chosen.yaml"
    assert main(["hpo", "choose", "--study-dir", str(study), "--trial", str(fastest), "--out", str(chosen)]) == 0
    ran = yaml.safe_load((study / "trials" / f"{fastest:05d}" / "config.yaml").read_text(encoding="utf-8"))
    assert yaml.safe_load(chosen.read_text(encoding="utf-8")) == {**ran, "run_dir": "runs/chosen"}
    pruned = next(report["trial"] for report in made if report["state"] == "PRUNED")
    capfd.readouterr()
    assert main(["hpo", "choose", "--study-dir", str(study), "--trial", str(pruned)]) == 2
    assert f"no trial {pruned} that was trained to its end" in capfd.readouterr().err


def test_another_search_in_the_same_folder_is_refused(options, tmp_path, capfd):
    assert main(options("--n-trials", "1", "--trainer.max_epochs=1")) == 0
    for change, says in (
        (["--objective", "val_hit_at_1"], "was begun with objective val_f1_macro"),
        (["--seed", "3"], "was begun with seed 0"),
        (["--trainer.max_epochs=3"], "was begun with another trainer.max_epochs"),
        (["--pruner", "NopPruner"], "was begun with pruner MedianPruner"),
        (["--sampler-options", '{"n_startup_trials": 3}'], "was begun with sampler_options {'multivariate': True,"),
        (["--config", str(_leases(tmp_path))], "was begun with lease_seconds 30.0"),
    ):
        capfd.readouterr()
        assert main(options("--n-trials", "2", "--trainer.max_epochs=1", *change)) == 2
        assert says in capfd.readouterr().err


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--storage", "mongodb://x/y"], "--storage"),
        (["--n-trials", "0"], "n_trials is 0; it must be a whole number of at least 1"),
        (["--sampler", "Nope"], "--sampler Nope is unknown"),
        (
            ["--sampler", "GridSampler", "--sampler-options", '{"search_space": {"lr": [1e-5]}}'],
            "--sampler GridSampler cannot draw from this space (",
        ),
        (["--trial", "3"], "--trial goes with redsm5 hpo choose"),
        (["--pruner-options", '{"foo": 1}'], "MedianPruner does not take foo"),
        (["--objective", "f1"], "hpo.objective: f1 is not accepted"),
        (["--objectives", "val_f1_macro,speed"], "objectives: speed is no objective; choose among"),
        (["--objectives", "peak_memory"], "hpo.objective: peak_memory is not accepted"),
        (["--objectives", "val_f1_macro,val_loss", "--sampler", "CmaEsSampler"], "searches for one objective only"),
        (["--objectives", "val_f1_macro,val_loss", "--objective", "val_mrr"], "and the first of objectives"),
        (["--model.nope=1"], "there is no key model.nope"),
        (["--space", "nothing.yaml"], "nothing.yaml"),
    ],
)
def test_wrong_options_are_a_sentence_before_anything_is_begun(options, tmp_path, capfd, more, says):
    assert main(options("--n-trials", "1", *more)) == 2
    err = capfd.readouterr().err
    assert says in err
    assert "Traceback" not in err
    assert not (tmp_path / "study" / "trials").exists()


def test_search_without_a_corpus_is_refused(options, capfd):
    args = [arg for arg in options() if not arg.startswith("--data.path")]
    assert main(args) == 2
    assert "name it with --data.path FOLDER" in capfd.readouterr().err


def test_status_of_no_study_says_so(tmp_path, capfd):
    assert main(["hpo", "status", "--study-dir", str(tmp_path / "none")]) == 2
    assert "there is no study in" in capfd.readouterr().err
