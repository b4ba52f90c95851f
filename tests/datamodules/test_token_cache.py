from __future__ import annotations

import multiprocessing
import os
import stat
import time

import numpy as np
import pytest
from tiny_tokenizers import bert_like

import redsm5.datamodules.token_cache as token_cache
from redsm5.datamodules.token_cache import cache_folder, cached_tokens
from redsm5.datamodules.tokenization import tokenize
from redsm5.errors import UserError

TEXTS = ["I feel gloomy.", "Work was busy but fine.", "It rained for most of the week."]


@pytest.fixture
def calls(monkeypatch):
    """How often texts were tokenised."""
    made = []

    def counted(texts, tokenizer):
        made.append(len(texts))
        return tokenize(texts, tokenizer)

    monkeypatch.setattr(token_cache, "tokenize", counted)
    return made


def read(folder, texts=TEXTS, sha256="a" * 64, revision=None):
    return cached_tokens(
        texts, bert_like(), corpus_sha256=sha256, encoder_id="e", revision=revision, cache_dir=str(folder)
    )


def same(table, expected):
    for name in ("ids", "offsets", "starts"):
        np.testing.assert_array_equal(getattr(table, name), getattr(expected, name))


def test_tokens_are_made_once_and_then_mapped(tmp_path, calls):
    first, second = read(tmp_path), read(tmp_path)
    assert calls == [3]
    same(first, tokenize(TEXTS, bert_like()))
    same(second, first)
    assert isinstance(second.ids.base, np.memmap)
    assert not second.ids.flags.writeable


def test_another_corpus_or_revision_has_tokens_of_its_own(tmp_path, calls):
    read(tmp_path)
    read(tmp_path, sha256="b" * 64)
    read(tmp_path, revision="v2")
    assert calls == [3, 3, 3]
    assert len(list(tmp_path.iterdir())) == 3


def test_only_the_owner_can_read_the_tokens(tmp_path):
    previous = os.umask(0)
    try:
        read(tmp_path / "new")
    finally:
        os.umask(previous)
    (folder,) = (tmp_path / "new").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def cut(file):
    file.write_bytes(file.read_bytes()[:-4])


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut, flip, lambda file: file.unlink(), lambda file: file.write_bytes(b"")])
@pytest.mark.parametrize("name", ["ids.npy", "offsets.npy", "starts.npy", "index.json"])
def test_a_damaged_cache_is_made_again(tmp_path, calls, name, damage):
    read(tmp_path)
    (folder,) = tmp_path.iterdir()
    damage(folder / name)
    same(read(tmp_path), tokenize(TEXTS, bert_like()))
    assert calls == [3, 3]
    same(read(tmp_path), tokenize(TEXTS, bert_like()))
    assert calls == [3, 3]
    assert list(tmp_path.iterdir()) == [folder]


def test_nothing_half_written_is_left_behind(tmp_path, monkeypatch):
    def broken(texts, tokenizer):
        raise KeyboardInterrupt

    monkeypatch.setattr(token_cache, "tokenize", broken)
    with pytest.raises(KeyboardInterrupt):
        read(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path):
    old, new = tmp_path / ".tokens-x.1-a.tmp", tmp_path / ".tokens-y.2-b.tmp"
    for folder in (old, new):
        folder.mkdir()
        (folder / "ids.npy").write_bytes(b"x")
    yesterday = time.time() - token_cache.STALE_SECONDS - 10
    os.utime(old, (yesterday, yesterday))
    read(tmp_path)
    assert not old.exists()
    assert new.exists()


def test_a_process_that_was_slower_takes_the_tokens_of_the_faster(tmp_path, monkeypatch):
    def overtaken(texts, tokenizer):
        monkeypatch.setattr(token_cache, "tokenize", tokenize)
        read(tmp_path)
        return tokenize(texts, tokenizer)

    monkeypatch.setattr(token_cache, "tokenize", overtaken)
    same(read(tmp_path), tokenize(TEXTS, bert_like()))
    assert len(list(tmp_path.iterdir())) == 1


def _build(folder, barrier, failures):
    try:
        tokenizer = bert_like()
        barrier.wait(timeout=60)
        for k in range(10):
            texts = [f"{t} {k}" for t in TEXTS]
            table = cached_tokens(
                texts, tokenizer, corpus_sha256=str(k) * 64, encoder_id="e", revision=None, cache_dir=folder
            )
            same(table, tokenize(texts, tokenizer))
    except BaseException as error:
        failures.put(repr(error))
        raise


def test_processes_that_build_at_once_all_get_the_tokens(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, failures = context.Barrier(2), context.Queue()
    processes = [context.Process(target=_build, args=(str(tmp_path), barrier, failures)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
    assert failures.empty()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 10


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match=r"token cache cannot be written to .*; set data\.cache_dir or REDSM5_CACHE"):
        read(tmp_path / "file")


def test_cache_folder(tmp_path, monkeypatch):
    assert cache_folder(str(tmp_path / "own")) == tmp_path / "own"
    monkeypatch.setenv("REDSM5_CACHE", str(tmp_path / "env"))
    assert cache_folder(None) == tmp_path / "env"
    monkeypatch.delenv("REDSM5_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder(None) == tmp_path / ".cache" / "redsm5"
