"""Tokens of a corpus on disk: made once per (corpus, tokenizer), memory-mapped by every later run."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from redsm5.datamodules.tokenization import TokenTable, fingerprint, tokenize
from redsm5.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CACHE_VARIABLE = "REDSM5_CACHE"
Key = dict[str, str | int]
ARRAYS = {"ids": np.dtype(np.int32), "offsets": np.dtype(np.int32), "starts": np.dtype(np.int64)}
INDEX = "index.json"
STALE_SECONDS = 24 * 3600
"""A half-written folder of this age was left by a process that was killed."""


def cache_folder(cache_dir: str | None) -> Path:
    """Where token caches lie: the argument, else ``$REDSM5_CACHE``, else ``~/.cache/redsm5``."""
    chosen = cache_dir or os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "redsm5"


def cached_tokens(
    texts: Sequence[str],
    tokenizer: PreTrainedTokenizerFast,
    *,
    corpus_sha256: str,
    encoder_id: str,
    revision: str | None,
    cache_dir: str | None,
) -> TokenTable:
    """Tokens of the posts of a corpus, memory-mapped; tokenised now if no earlier run has left them.

    Token ids are recoverable text: the folder has mode 0700. It is written beside its final name and renamed, so that a
    reader never sees half of it and of two processes that build it at once one wins. A folder that is incomplete or
    whose checksums differ is built again.

    Args:
        texts: Posts in the order of the corpus.
        tokenizer: The tokenizer.
        corpus_sha256: Hash of the corpus.
        encoder_id: Whose tokenizer it is.
        revision: Its revision, if one was asked for.
        cache_dir: See ``cache_folder``.

    Raises:
        UserError: The folder cannot be written.
    """
    root = cache_folder(cache_dir)
    rules = fingerprint(tokenizer, encoder_id, revision)
    target = root / f"tokens-{corpus_sha256[:24]}-{rules[:24]}"
    key: Key = {"corpus": corpus_sha256, "tokenizer": rules, "posts": len(texts)}
    table = open_table(target, key)
    if table is not None:
        return table
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        _remove_stale(root)
        return _build(target, key, lambda: tokenize(texts, tokenizer))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"the token cache cannot be written to {root}: {reason}; set data.cache_dir or {CACHE_VARIABLE}"
        ) from error


def open_table(folder: Path, key: Key) -> TokenTable | None:
    """The table in a folder, or None where there is none, or none that is whole and has this key."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["key"] != key:
            return None
        arrays = {}
        for name, dtype in ARRAYS.items():
            if _sha256(folder / f"{name}.npy") != index["sha256"][name]:
                return None
            # Still mapped, but as a plain array: slices of a memmap are several times as slow to make.
            arrays[name] = np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
            if arrays[name].dtype != dtype:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return TokenTable(**arrays)


def _build(target: Path, key: Key, make: Callable[[], TokenTable]) -> TokenTable:
    aside = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    aside.mkdir(mode=0o700)
    try:
        table = make()
        for name in ARRAYS:
            with (aside / f"{name}.npy").open("wb") as file:
                np.save(file, getattr(table, name), allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        with (aside / INDEX).open("w", encoding="utf-8") as file:
            json.dump({"key": key, "sha256": {name: _sha256(aside / f"{name}.npy") for name in ARRAYS}}, file)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(aside)
        _put_in_place(aside, target, key)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    # The arrays in memory, not the files: should someone remove the folder now, this run goes on.
    return open_table(target, key) or table


def _put_in_place(aside: Path, target: Path, key: Key) -> None:
    """Rename, unless another process was first and left a good folder; a bad one is moved out of the way."""
    for _ in range(3):
        try:
            os.rename(aside, target)
            _sync_folder(target.parent)
            return
        except OSError:
            if not target.exists():
                raise
        if open_table(target, key) is not None:
            return
        bad = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.bad.tmp")
        try:
            os.rename(target, bad)
        except FileNotFoundError:
            continue  # Another process moved it first.
        shutil.rmtree(bad, ignore_errors=True)


def _remove_stale(root: Path) -> None:
    for folder in root.glob(".tokens-*.tmp"):
        try:
            stale = time.time() - folder.stat().st_mtime > STALE_SECONDS
        except FileNotFoundError:
            continue
        if stale:
            shutil.rmtree(folder, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
