"""Fixtures that many tests share."""

from __future__ import annotations

import os

# Before torch is imported: two processes of pytest-xdist, each with a thread per core, wait for one another in every
# small operation (tests/modules and tests/optim on two cores: 81 s, with one thread each 30 s).
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import HubServer
from tiny import write_tiny_corpus, write_tiny_encoder
from tiny_runs import fit_options

from redsm5.cli import main


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a tiny BERT with its own tokenizer; read only."""
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny-bert")


@pytest.fixture(scope="session")
def tiny_corpus_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the posts and annotations of 60 posts by 30 authors, one keyword per criterion; read only."""
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus") / "tiny")


@pytest.fixture(autouse=True)
def _own_token_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's token cache; tests of one process share one."""
    monkeypatch.setenv("REDSM5_CACHE", str(tmp_path_factory.getbasetemp() / "token-cache"))


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


@pytest.fixture
def hub_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A stand-in for the hub that this process uses, with an empty cache and no token."""
    from huggingface_hub import constants

    with HubServer() as server:
        # The client has read the environment already.
        monkeypatch.setattr(constants, "ENDPOINT", server.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server
