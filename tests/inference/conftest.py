"""A finished run whose model binds spans, for the tests of what is done with one."""

import pytest

from redsm5.cli import main


def fit_options(corpus, encoder, run_dir, *more):
    return [
        "fit", f"--data.path={corpus}", f"--model.encoder.id={encoder}", f"--run_dir={run_dir}",
        "--data.max_length=32", "--data.stride=8", "--data.workers=0", "--trainer.accelerator=cpu",
        "--model.optimizer.lr=0.003", "--model.optimizer.head_lr=0.01", "--trainer.max_epochs=4",
        "--runtime.threads=1", "--early_stopping.monitor=val_hit_at_1",
        # Without a penalty on null, spans beat it after a few steps.
        "--model.evidence_loss.null_weight=0.0", "--model.lambda_span=3", *more,
    ]  # fmt: skip


@pytest.fixture(scope="session")
def trained_run(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    """Folder of a run that was fitted and tested; read only."""
    run_dir = tmp_path_factory.mktemp("trained") / "run"
    cache = tmp_path_factory.mktemp("trained-cache")
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, run_dir, f"--data.cache_dir={cache}")) == 0
    assert main(["test", str(run_dir)]) == 0
    return run_dir


@pytest.fixture(scope="session")
def pairs_run(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    """The same in pairs of post and criterion; read only."""
    run_dir = tmp_path_factory.mktemp("pairs") / "run"
    cache = tmp_path_factory.mktemp("pairs-cache")
    more = ("--data.format=BinaryPairs", "--data.max_length=128", "--trainer.max_epochs=1", f"--data.cache_dir={cache}")
    assert main(fit_options(tiny_corpus_dir, tiny_encoder, run_dir, *more)) == 0
    assert main(["test", str(run_dir)]) == 0
    return run_dir
