"""The logs of real commands: what stands in them, and what must not."""

import json
import warnings

import pytest
from tiny import write_tiny_corpus
from tiny_runs import fit_options

from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.cli import main
from redsm5.modules.module import MultiTaskModule


def lines(run):
    return [json.loads(line) for line in (run / "run.jsonl").read_text().splitlines()]


def said(run):
    return [line["message"] for line in lines(run)]


def test_a_run_logs_its_course_over_an_interruption(tiny_corpus_dir, tiny_encoder, tmp_path, monkeypatch):
    run = tmp_path / "run"
    command = fit_options(tiny_corpus_dir, tiny_encoder, run, "--trainer.max_epochs=3")
    started = MetricsFile.on_train_epoch_start

    def interrupt(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt
        started(self, trainer, pl_module)

    with monkeypatch.context() as patch:
        patch.setattr(MetricsFile, "on_train_epoch_start", interrupt)
        assert main(command) == 130
    first = ["start", "training started", "epoch ended", "checkpoint saved", "checkpoint saved", "interrupted"]
    assert said(run) == first
    assert main(command) == 0
    assert main(["test", str(run)]) == 0
    log = lines(run)[len(first) :]
    course = [(line["message"], line["epoch"]) for line in log if not line["message"].startswith("checkpoint")]
    assert course == [
        ("start", None), ("going on", None), ("training resumed", 1), ("epoch ended", 1), ("epoch ended", 2),
        ("training ended", 3), ("evaluated", None), ("finish", None), ("start", None), ("evaluated", None),
        ("finish", None),
    ]  # fmt: skip
    by_message = {line["message"]: line for line in log}
    assert by_message["evaluated"]["context"]["part"] == "test"
    assert by_message["start"]["context"]["command"] == "test"
    assert by_message["training resumed"]["context"]["device"] == "cpu"
    assert by_message["epoch ended"]["context"].keys() == {"train_loss", "val_loss", "val_hit_at_1"}
    assert by_message["epoch ended"]["step"] == by_message["training ended"]["step"] > 0
    assert {line["run"] for line in log} == {"run"}


def test_an_early_stop_is_logged(tiny_corpus_dir, tiny_encoder, tmp_path):
    run = tmp_path / "run"
    more = (
        "--trainer.max_epochs=9",
        "--early_stopping.patience=2",
        "--model.optimizer.lr=0",
        "--model.optimizer.head_lr=0",
    )
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, run, *more)) == 0
    [stop] = [line for line in lines(run) if line["message"] == "early stop"]
    assert (stop["epoch"], stop["context"]["epochs_without_improvement"]) == (2, 2)


@pytest.mark.parametrize("command", ["fit", "test"])
def test_no_log_holds_a_sentence_of_a_post_or_a_secret(
    command, trained_run, tiny_encoder, tmp_path, monkeypatch, capsys
):
    """A library that warns of a post and then dies over it, in three ways."""
    corpus = write_tiny_corpus(tmp_path / "corpus")
    run = tmp_path / "run"
    options = fit_options(corpus, tiny_encoder, run, "--trainer.max_epochs=1")
    if command == "test":
        assert main(options) == 0
        options = ["test", str(run)]
    spoilt = []

    def die(self, batch, index):
        posts = [post.text for post in self.trainer.datamodule.corpus.posts]
        spoilt.extend(posts)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(f"odd post: {posts[1]}", stacklevel=1)
        error = KeyError(posts[0])
        error.add_note(f"in post {posts[2]} of jane@mail.example")
        raise RuntimeError(f"cannot use {posts[3]!r} and {posts[4]} from https://me:pass1word@host") from error

    monkeypatch.setattr(MultiTaskModule, "validation_step" if command == "fit" else "test_step", die)
    assert main(options) == 1
    assert "Traceback" not in capsys.readouterr().err
    text = (run / "run.jsonl").read_text() + (run / "run.log").read_text()
    assert "RuntimeError: cannot use '<" in text
    assert "in die" in text
    for secret in ("pass1word", "jane@mail"):
        assert secret not in text
    words = text.split()
    written = {tuple(words[i : i + 4]) for i in range(len(words))}
    assert spoilt
    for post in spoilt:
        parts = post.split()
        assert written.isdisjoint({tuple(parts[i : i + 4]) for i in range(len(parts) - 3)})


def test_a_crash_outside_a_run_masks_too(monkeypatch, capsys, tmp_path):
    def broken(argv):
        raise RuntimeError("'I feel so very low' with hf_abcdefghijklm")

    monkeypatch.setattr("redsm5.cli._dispatch", broken)
    monkeypatch.setattr("redsm5.run.crash._folder", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert main(["predict"]) == 1
    [log] = tmp_path.glob("redsm5-crash-*.log")
    assert "RuntimeError: '<18 characters>' with hf_***" in log.read_text()
    assert str(log) in capsys.readouterr().err
