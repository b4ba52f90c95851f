import json
import os
import shutil
import signal
import socket
import threading

import pytest
from tiny import write_tiny_corpus
from tiny_runs import fit_options

from redsm5.cli import main
from redsm5.metrics_csv import read_epochs
from redsm5.modules.module import MultiTaskModule
from redsm5.report.writing import read_report
from redsm5.run.folder import RunFolder
from redsm5.run.lock import run_lock


@pytest.fixture
def run(trained_run, tmp_path):
    """A copy of a finished run that a test may spoil."""
    return shutil.copytree(trained_run, tmp_path / "moved")


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file() and p.stem not in (".lock", "run")}


def test_test_works_in_the_folder_that_is_named_and_touches_no_other(run, trained_run):
    before = files(trained_run)
    expected = (run / "predictions-test.jsonl").read_bytes()
    for name in ("predictions-test.jsonl", "view-test.html"):
        (run / name).unlink()
    assert main(["test", str(run)]) == 0
    assert (run / "predictions-test.jsonl").read_bytes() == expected
    assert (run / "view-test.html").is_file()
    assert files(trained_run) == before


@pytest.mark.parametrize(
    "option",
    [
        "--model.decoding.max_spans=1",
        "--model.evidence_head.inside_scale=0",
        "--data.max_length=40",
        "--seed_everything=5",
    ],
)
def test_test_refuses_to_evaluate_another_model_than_the_run(run, option, capsys):
    before = files(run)
    assert main(["test", str(run), option]) == 2
    said = capsys.readouterr().err
    assert option.removeprefix("--").split("=")[0].replace("head.", "head.init_args.") in said
    assert "evaluates it as it was trained" in said
    assert files(run) == before


def test_test_takes_another_batch_size_and_place(run, tiny_corpus_dir, tmp_path):
    corpus = shutil.copytree(tiny_corpus_dir, tmp_path / "corpus")
    assert main(["test", str(run), "--data.batching.eval=3", f"--data.path={corpus}", "--data.workers=0"]) == 0


def test_validate_leaves_the_thresholds_of_the_fit(run):
    thresholds = (run / "thresholds.json").read_text()
    assert main(["validate", str(run)]) == 0
    assert (run / "thresholds.json").read_text() == thresholds
    (run / "thresholds.json").write_text(json.dumps(dict.fromkeys(json.loads(thresholds), 0.25)))
    assert main(["validate", str(run)]) == 0
    assert set(read_report(run / "report.json").thresholds.values()) == {0.25}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "thresholds.json").unlink(), "thresholds.json is missing or damaged; run redsm5 fit"),
        (lambda run: (run / "thresholds.json").write_text("{"), "thresholds.json is missing or damaged"),
        (lambda run: (run / "thresholds.json").write_text('{"A": 0.5}'), "is for other criteria than the corpus"),
        (lambda run: (run / "training.json").unlink(), "holds no finished training"),
        (
            lambda run: cut(best(run) / "weights.safetensors"),
            "is damaged (weights.safetensors is not what was written)",
        ),
        (lambda run: (best(run) / "manifest.json").unlink(), "has no manifest.json"),
        (lambda run: shutil.rmtree(best(run)), "holds no weights; a run keeps them with"),
    ],
)
def test_test_says_what_is_wrong_with_a_run(run, spoil, said, capsys):
    spoil(run)
    assert main(["test", str(run)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def best(run):
    return RunFolder(run).best_checkpoint().path


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def test_interrupted_evaluation_exits_with_130(run, monkeypatch, capsys):
    def interrupt(self, batch, index):
        signal.raise_signal(signal.SIGINT)

    assert threading.current_thread() is threading.main_thread()
    monkeypatch.setattr(MultiTaskModule, "test_step", interrupt)
    before = files(run)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever tests before this one left
    assert main(["test", str(run)]) == 130
    assert signal.signal(signal.SIGINT, handler) is signal.default_int_handler
    assert "run the same command again" in capsys.readouterr().err
    assert files(run) == before


def test_a_run_folder_takes_one_process_at_a_time(run, capsys):
    with run_lock(run):
        assert main(["test", str(run)]) == 2
        assert main(["fit", "--config", str(run / "config.yaml"), f"--run_dir={run}"]) == 2
    assert capsys.readouterr().err.count(f"process {os.getpid()} on host {socket.gethostname()} is at work in") == 2
    assert main(["test", str(run)]) == 0


@pytest.mark.parametrize("more", [(), ("--fresh",)])
def test_fit_does_not_write_where_its_corpus_lies(tiny_encoder, tmp_path, more, capsys):
    corpus = write_tiny_corpus(tmp_path / "corpus")
    before = files(corpus)
    assert main(fit_options(corpus, tiny_encoder, corpus, *more)) == 2
    assert "holds data.path; choose another --run_dir" in capsys.readouterr().err
    assert files(corpus) == before


def test_fit_killed_after_early_stopping_does_not_train_on(tiny_corpus_dir, tiny_encoder, tmp_path):
    run = tmp_path / "run"
    command = fit_options(
        tiny_corpus_dir, tiny_encoder, run, "--trainer.max_epochs=9", "--early_stopping.patience=2",
        "--model.optimizer.lr=0", "--model.optimizer.head_lr=0",
    )  # fmt: skip
    assert main(command) == 0
    facts = json.loads((run / "training.json").read_text())
    assert (facts["epochs"], facts["stopped_early"], facts["best_epoch"]) == (3, True, 0)
    lines = (run / "predictions-val.jsonl").read_text()
    for name in ("training.json", "report.json", "thresholds.json"):
        (run / name).unlink()
    assert main(command) == 0
    again = json.loads((run / "training.json").read_text())
    assert again.pop("checkpoints")["saves"] == facts.pop("checkpoints")["saves"]
    del again["seconds"], facts["seconds"]  # up to the last checkpoint
    assert again == facts
    assert (run / "predictions-val.jsonl").read_text() == lines
    assert [row["epoch"] for row in read_epochs(run / "metrics.csv")] == [0, 1, 2]
