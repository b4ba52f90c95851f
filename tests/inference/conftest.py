"""A finished run whose model binds spans, for the tests of what is done with one."""

import pytest
from fit_samples import fit_options

from redsm5.cli import main


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
