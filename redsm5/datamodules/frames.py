"""What stands around the tokens of a post in a window: special tokens, a criterion, titles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from redsm5.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Frame:
    """Tokens before and after those of the post.

    Attributes:
        before: int64 [b], at least one: position 0 is the encoder's first special token.
        before_types: int64 [b], their token types.
        after: int64 [a].
        after_types: int64 [a].
        post_type: Token type of the post's own tokens.
    """

    before: IntArray
    before_types: IntArray
    after: IntArray
    after_types: IntArray
    post_type: int

    def __len__(self) -> int:
        return len(self.before) + len(self.after)


@dataclass(frozen=True)
class Layout:
    """How windows are laid out for an encoder and a format.

    Attributes:
        frames: One for all posts, or one per criterion if ``pairs``.
        pairs: Whether an example is a (post, criterion) pair.
        n_outputs: Outputs per example.
        pad_id: Token that fills up.
        typed: Whether the encoder reads token types.
    """

    frames: tuple[Frame, ...]
    pairs: bool
    n_outputs: int
    pad_id: int
    typed: bool

    @property
    def longest_frame(self) -> int:
        """Tokens of a window that are not the post's, at most."""
        return max(len(frame) for frame in self.frames)

    def frame(self, criterion: int) -> Frame:
        """The frame of an example; ``criterion`` is -1 where an example is a whole post."""
        return self.frames[criterion] if self.pairs else self.frames[0]


class Template:
    """The special tokens of a tokenizer, learned by encoding a single text and a pair once.

    Args:
        tokenizer: A tokenizer with offsets.

    Raises:
        UserError: It puts no special token in front, has none for padding, or encodes pairs in a way of its own.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
        if tokenizer.pad_token_id is None:
            raise UserError(f"the tokenizer of {name} has no padding token; choose an encoder that has one")
        self._single = _gaps(tokenizer, name, "a")
        self._pair = _gaps(tokenizer, name, "a", "a")
        if not len(self._single[0].ids) or not len(self._pair[0].ids):
            raise UserError(f"the tokenizer of {name} puts no special token first; choose an encoder whose one does")

    def alone(self) -> Frame:
        """The frame of a post alone."""
        head, tail = self._single
        return _frame([head], [tail], head.next_type)

    def followed_by(self, text: str) -> Frame:
        """The frame of a post that is followed by a text."""
        head, middle, tail = self._pair
        return _frame([head], [middle, self._piece(text, middle.next_type), tail], head.next_type)

    def preceded_by(self, text: str) -> Frame:
        """The frame of a post that a text precedes."""
        head, middle, tail = self._pair
        return _frame([head, self._piece(text, head.next_type), middle], [tail], middle.next_type)

    def _piece(self, text: str, token_type: int) -> _Piece:
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
        return _Piece(np.array(ids, dtype=np.int64), np.full(len(ids), token_type, dtype=np.int64), token_type)


@dataclass(frozen=True)
class _Piece:
    """Tokens with their types; ``next_type`` is the type of the text that follows (its own for a text)."""

    ids: IntArray
    types: IntArray
    next_type: int


def _gaps(tokenizer: PreTrainedTokenizerFast, name: str, *texts: str) -> list[_Piece]:
    """The special tokens before, between and after the texts."""
    encoded: Any = tokenizer(*texts, add_special_tokens=True, truncation=False, padding=False)
    ids, sequences = encoded["input_ids"], encoded.sequence_ids()
    types = encoded["token_type_ids"] if "token_type_ids" in encoded else [0] * len(ids)
    spans = []
    for k in range(len(texts)):
        inside = [i for i, sequence in enumerate(sequences) if sequence == k]
        if not inside or inside != list(range(inside[0], inside[-1] + 1)):
            raise UserError(f"the tokenizer of {name} does not keep a text in one piece; choose another encoder")
        spans.append((inside[0], inside[-1] + 1))
    if spans != sorted(spans):
        raise UserError(f"the tokenizer of {name} puts the second text of a pair first; choose another encoder")
    edges = [0, *(edge for span in spans for edge in span), len(ids)]
    gaps = list(zip(edges[::2], edges[1::2], strict=True))
    return [
        _Piece(
            np.array(ids[begin:end], dtype=np.int64),
            np.array(types[begin:end], dtype=np.int64),
            types[end] if end < len(ids) else 0,
        )
        for begin, end in gaps
    ]


def _frame(before: Sequence[_Piece], after: Sequence[_Piece], post_type: int) -> Frame:
    return Frame(
        before=np.concatenate([piece.ids for piece in before]),
        before_types=np.concatenate([piece.types for piece in before]),
        after=np.concatenate([piece.ids for piece in after]),
        after_types=np.concatenate([piece.types for piece in after]),
        post_type=post_type,
    )
