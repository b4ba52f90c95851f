import pytest
from tiny_runs import fit_options

from redsm5.cli import main
from redsm5.metrics_csv import read_epochs


def test_validation_losses_do_not_depend_on_the_batch_size(tiny_corpus_dir, tiny_encoder, tmp_path):
    """The same weights (a rate of zero), another number of posts per batch."""
    rows = {}
    for size in (1, 3, 16):
        run = tmp_path / str(size)
        more = (
            "--trainer.max_epochs=1",
            "--model.optimizer.lr=0",
            "--model.optimizer.head_lr=0",
            "--model.task_weighting.lambda_span=1",
        )
        command = fit_options(tiny_corpus_dir, tiny_encoder, run, *more, f"--data.batching.eval={size}")
        assert main(command) == 0
        [epoch] = read_epochs(run / "metrics.csv")
        rows[size] = {name: value for name, value in epoch.items() if name.startswith("val_loss")}
    assert rows[1].keys() >= {"val_loss", "val_loss_positives", "val_loss_hard_negatives", "val_loss_inside"}
    assert rows[1]["val_loss_positives"] > 0
    assert rows[1] == pytest.approx(rows[3], rel=1e-4)
    assert rows[1] == pytest.approx(rows[16], rel=1e-4)


def test_fit_that_diverges_says_so(tiny_corpus_dir, tiny_encoder, tmp_path, capsys):
    more = (
        "--trainer.max_epochs=2",
        "--model.optimizer.lr=1e9",
        "--model.optimizer.head_lr=1e9",
        "--trainer.gradient_clip_val=0",
    )
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, tmp_path / "run", *more)) == 2
    assert "the training has diverged" in capsys.readouterr().err
