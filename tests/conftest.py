"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import write_tiny_corpus, write_tiny_encoder


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
