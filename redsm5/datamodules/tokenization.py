"""Texts to tokens without special tokens, with character offsets into the text as it was given."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZATION_VERSION = "1"
"""Raised whenever the tokens or offsets of some text change: it is part of the key of the token cache."""

TEXTS_PER_CALL = 256
"""Texts that are tokenised in one call: enough for all cores, few enough that a large corpus needs little memory."""


@dataclass(frozen=True)
class TokenTable:
    """Tokens of texts, one after the other in flat arrays, which may be memory-mapped.

    Attributes:
        ids: int32 [T], tokens of all texts.
        offsets: int32 [T, 2], their character offsets, end exclusive, without white space at either side; empty for a
            token of white space alone.
        starts: int64 [N + 1], where each text begins; the last is T.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int32]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def text(self, index: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Token ids [t] and offsets [t, 2] of one text."""
        begin, end = self.starts[index], self.starts[index + 1]
        return self.ids[begin:end], self.offsets[begin:end]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, [N]."""
        return np.diff(self.starts)


def tokenize(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> TokenTable:
    """Tokens of texts of any length.

    What looks like a special token (``<s>``, ``[SEP]``) is text like any other; where the vocabulary itself has it as a
    piece (Unigram), it becomes the unknown token, lest it be read as the end of a post, or as padding.

    Args:
        texts: The texts.
        tokenizer: A tokenizer with offsets.
    """
    parts = list(tokenized_parts(texts, tokenizer))
    lengths = np.concatenate([lengths for _, _, lengths in parts]) if parts else np.zeros(0, dtype=np.int64)
    return TokenTable(
        ids=np.concatenate([ids for ids, _, _ in parts]) if parts else np.zeros(0, dtype=np.int32),
        offsets=np.concatenate([offsets for _, offsets, _ in parts]) if parts else np.zeros((0, 2), dtype=np.int32),
        starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    )


def tokenized_parts(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerFast
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]]:
    """Ids [t], offsets [t, 2] and lengths [n] of some texts after the other."""
    unknown = tokenizer.unk_token_id
    specials = [] if unknown is None else [token for token in tokenizer.all_special_ids if token != unknown]
    for begin in range(0, len(texts), TEXTS_PER_CALL):
        some = list(texts[begin : begin + TEXTS_PER_CALL])
        encoded = tokenizer(
            some,
            add_special_tokens=False,
            split_special_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=True,
            truncation=False,
            padding=False,
            verbose=False,
        )
        offsets = [
            visible(np.array(pairs, dtype=np.int32).reshape(-1, 2), text)
            for pairs, text in zip(encoded["offset_mapping"], some, strict=True)
        ]
        rows = [np.array(row, dtype=np.int32) for row in encoded["input_ids"]]
        ids = np.concatenate(rows)
        if specials:
            ids[np.isin(ids, specials)] = unknown
        yield ids, np.concatenate(offsets), np.array([len(row) for row in rows], dtype=np.int64)


def visible(offsets: NDArray[np.int32], text: str) -> NDArray[np.int32]:
    """Offsets without the white space that byte-level and SentencePiece tokens carry at their sides.

    Args:
        offsets: [t, 2].
        text: What they point into.

    Returns:
        [t, 2]; a token of white space alone becomes empty.
    """
    blank = np.array([character.isspace() for character in text], dtype=bool)
    position = np.arange(len(text) + 1, dtype=np.int32)
    # For each position the next visible character at or after it, and the end of the last one before it.
    following = np.where(np.append(blank, False), len(text), position)
    following = np.minimum.accumulate(following[::-1])[::-1]
    preceding = np.where(np.append(True, blank), 0, position)
    preceding = np.maximum.accumulate(preceding)
    start = np.minimum(following[offsets[:, 0]], offsets[:, 1])
    end = np.maximum(preceding[offsets[:, 1]], start)
    return np.stack([start, end], axis=1).astype(np.int32)


def fingerprint(tokenizer: PreTrainedTokenizerFast, encoder_id: str, revision: str | None) -> str:
    """What decides the tokens of a text, as a hash: encoder, revision, all rules and words of the tokenizer, versions.

    Args:
        tokenizer: The tokenizer, set neither to truncate nor to pad.
        encoder_id: Whose tokenizer it is.
        revision: Its revision, if one was asked for.
    """
    backend = tokenizer.backend_tokenizer
    parts = (TOKENIZATION_VERSION, version("tokenizers"), encoder_id, revision or "", backend.to_str())
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
