import re
import sys

import pytest

from redsm5.callbacks import progress
from redsm5.cli import main
from redsm5.metrics_csv import read_epochs


def fit(corpus, encoder, folder, *more):
    command = [
        "fit",
        f"--data.path={corpus}",
        f"--model.encoder.id={encoder}",
        f"--run_dir={folder / 'run'}",
        "--data.max_length=48",
        "--data.stride=8",
        "--trainer.accelerator=cpu",
        "--runtime.threads=1",
        *more,
    ]
    assert main(command) == 0


@pytest.mark.parametrize("accumulated", [1, 2])
def test_plain_progress_prints_the_loss_of_the_step(
    tiny_corpus_dir, tiny_encoder, tmp_path, capsys, monkeypatch, accumulated
):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    fit(
        tiny_corpus_dir, tiny_encoder, tmp_path, "--trainer.max_epochs=1", "--model.optimizer.lr=0",
        "--model.optimizer.head_lr=0", "--model.optimizer.weight_decay=0", "--model.encoder.hidden_dropout=0",
        "--model.criteria_head.dropout=0", "--model.evidence_head.dropout=0", "--data.batching.train=42",
        f"--trainer.accumulate_grad_batches={accumulated}",
    )  # fmt: skip
    [(said, of)] = re.findall(r"^epoch 0: batch 1 of (\d+), loss ([\d.]+)$", capsys.readouterr().out, re.MULTILINE)
    [row] = read_epochs(tmp_path / "run" / "metrics.csv")
    # One batch is the epoch, whatever it counts for the step.
    assert said == "1"
    assert float(of) == pytest.approx(row["train_loss"], abs=5e-4)


def test_bar_on_a_terminal_shows_the_loss(tiny_corpus_dir, tiny_encoder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fit(tiny_corpus_dir, tiny_encoder, tmp_path, "--trainer.max_epochs=1")
    said = capsys.readouterr()
    assert re.search(r"loss=\d+\.\d{3}", said.out + said.err)
    assert "epoch 0: train_loss" in said.out
