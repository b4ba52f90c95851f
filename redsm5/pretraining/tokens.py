"""Tokens of texts on disk: written while the texts are read, memory-mapped to train on."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from redsm5.atomic import sync
from redsm5.datamodules.tokenization import TEXTS_PER_CALL
from redsm5.errors import UserError
from redsm5.pretraining.texts import Text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ARRAYS: dict[str, type[Any]] = {"ids": np.int32, "begins": np.bool_, "lengths": np.int64, "groups": np.uint64}
INDEX = "index.json"
WORD_MARKS = ("▁", "Ġ")
"""What the first token of a word begins with in SentencePiece and in byte-level BPE."""


@dataclass(frozen=True)
class TextTokens:
    """Tokens of N texts, one after the other in flat arrays.

    Attributes:
        ids: int32 [T], tokens without special ones.
        begins: bool [T], which begin a word.
        lengths: int64 [N], tokens of each text.
        groups: uint64 [N], a hash of what each text may not be torn from.
    """

    ids: NDArray[np.int32]
    begins: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    groups: NDArray[np.uint64]


def stored_tokens(folder: Path, texts: Iterable[Text], tokenizer: PreTrainedTokenizerFast) -> TextTokens:
    """The tokens in a folder, which are put there first where it is missing.

    Token ids are recoverable text: the folder has mode 0700.

    Args:
        folder: Where they lie; its name says what they are of.
        texts: Read where the folder is missing, a few hundred at a time.
        tokenizer: The tokenizer.

    Raises:
        UserError: There are no texts, or they cannot be written.
    """
    if not (folder / INDEX).is_file():
        aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.tmp")
        try:
            aside.mkdir(mode=0o700, parents=True)
            counts = _write(aside, texts, tokenizer)
            (aside / INDEX).write_text(json.dumps(counts), encoding="utf-8")
            for file in aside.iterdir():
                sync(file)
            os.rename(aside, folder)
            sync(folder.parent)
        except OSError as error:
            if not (folder / INDEX).is_file():  # else another process was first
                raise UserError(
                    f"tokens cannot be written to {folder.parent}: {error.strerror}; set data.cache_dir or REDSM5_CACHE"
                ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return TextTokens(**{name: _mapped(folder / f"{name}.bin", kind) for name, kind in ARRAYS.items()})


def group_hash(group: str) -> int:
    """64 bits that stand for a group and give it its place in the order in which groups are held out."""
    return int.from_bytes(hashlib.blake2b(group.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _write(folder: Path, texts: Iterable[Text], tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    rest, count, tokens = iter(texts), 0, 0
    files = {name: (folder / f"{name}.bin").open("wb") for name in ARRAYS}
    try:
        while some := list(islice(rest, TEXTS_PER_CALL)):
            rows = list(_encoded([text.text for text in some], tokenizer))
            groups = np.array([group_hash(text.group) for text in some], dtype=np.uint64)
            files["ids"].write(np.concatenate([ids for ids, _ in rows]).astype(np.int32).tobytes())
            files["begins"].write(np.concatenate([begins for _, begins in rows]).tobytes())
            files["lengths"].write(np.array([len(ids) for ids, _ in rows], dtype=np.int64).tobytes())
            files["groups"].write(groups.tobytes())
            count, tokens = count + len(some), tokens + sum(len(ids) for ids, _ in rows)
    finally:
        for file in files.values():
            file.close()
    if not tokens:
        raise UserError("there is no text to pretrain on; check pretraining.texts, or the training part")
    return {"texts": count, "tokens": tokens}


def _encoded(
    texts: list[str], tokenizer: PreTrainedTokenizerFast
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.bool_]]]:
    """Ids and word beginnings of each text; what looks like a special token in a text is unknown."""
    encoded = tokenizer(
        texts, add_special_tokens=False, split_special_tokens=True, truncation=False, padding=False, verbose=False
    )
    unknown = tokenizer.unk_token_id
    specials = [] if unknown is None else [token for token in tokenizer.all_special_ids if token != unknown]
    for i in range(len(texts)):
        ids = np.array(encoded["input_ids"][i], dtype=np.int64)
        # A word of the pre-tokenizer; where that leaves a text whole, the mark of the vocabulary tells.
        words = np.array([-1 if word is None else word for word in encoded.word_ids(i)], dtype=np.int64)
        marked = [token.startswith(WORD_MARKS) for token in encoded.tokens(i)]
        begins = (
            np.concatenate([[True], words[1:] != words[:-1]]) | np.array(marked, dtype=bool) if len(ids) else words > 0
        )
        if specials:
            ids[np.isin(ids, specials)] = unknown
        yield ids, begins


def _mapped(path: Path, kind: type[Any]) -> NDArray[Any]:
    return np.asarray(np.memmap(path, dtype=kind, mode="r")) if path.stat().st_size else np.zeros(0, dtype=kind)
