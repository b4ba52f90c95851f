"""Where the sentences of a post lie in its tokens, for heads that score sentences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from redsm5.datamodules.sentences import split_sentences

IntArray = NDArray[np.int64]


def sentence_tokens(text: str, offsets: NDArray[np.int32]) -> IntArray:
    """First and last token (inclusive) of each sentence that has any: [s, 2], in order.

    A token that reaches over the end of a sentence belongs to both.

    Args:
        text: The post.
        offsets: [T, 2], character offsets of its tokens.
    """
    spans = np.array([(span.start, span.end) for span in split_sentences(text)], dtype=np.int64).reshape(-1, 2)
    starts, ends = offsets[:, 0], offsets[:, 1]
    shared = (ends > spans[:, :1]) & (starts < spans[:, 1:]) & (starts < ends)
    shared = shared[shared.any(axis=1)]
    last = shared.shape[1] - 1 - shared[:, ::-1].argmax(axis=1) if len(shared) else np.zeros(0)
    first = shared.argmax(axis=1) if len(shared) else np.zeros(0)
    return np.stack([first, last], axis=1).astype(np.int64)
