"""Posts whose evidence sentences are changed anew in every epoch, tokenised when a batch is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.streams import AUGMENTATION_STREAM
from redsm5.datamodules.targets import Targets, targets_from
from redsm5.datamodules.tokenization import tokenize
from redsm5.datamodules.word_changes import WordChanger, change_spans

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENS_PER_CHANGE = 3
"""Tokens by which a changed word may grow, on the mean over a post, before the post is left as it is."""


@dataclass(frozen=True)
class AugmentedPost:
    """A post as one epoch shows it.

    Attributes:
        text: With changed evidence sentences.
        ids: int32 [t], its tokens.
        offsets: int32 [t, 2], into this text.
        targets: Its targets.
    """

    text: str
    ids: NDArray[np.int32]
    offsets: NDArray[np.int32]
    targets: Targets


class AugmentedPosts:
    """Changes the aligned evidence sentences of posts; a pure function of (seed, epoch, post).

    The batch plan must know sizes before, and they must be the same in every epoch. So it counts ``lengths``: the
    tokens of a post and some room for its changes. A post that grows beyond them is shown as it was.

    Args:
        corpus: The corpus.
        tokenizer: The encoder's tokenizer.
        changer: What happens to words.
        lengths: [N], tokens of the posts as they are.
        targets: Targets of the posts as they are.
        seed: Of the run.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: PreTrainedTokenizerFast,
        changer: WordChanger,
        lengths: NDArray[np.int64],
        targets: Sequence[Targets],
        seed: int,
    ) -> None:
        self.corpus = corpus
        self.tokenizer = tokenizer
        self.changer = changer
        self.seed = seed
        evidence = np.array([_covered(each.evidence) for each in targets], dtype=np.int64)
        room = np.ceil(TOKENS_PER_CHANGE * changer.probability * evidence).astype(np.int64)
        self.lengths: NDArray[np.int64] = lengths + room

    def post(self, index: int, epoch: int) -> AugmentedPost | None:
        """A post as an epoch shows it; None where it is left as it was.

        Args:
            index: Of the post.
            epoch: Counted from 0.
        """
        post = self.corpus.posts[index]
        annotations = self.corpus.annotations_by_post[post.id]
        spans = [a.span for a in annotations if a.status == 1 and a.span is not None]
        rng = np.random.default_rng((self.seed, epoch, AUGMENTATION_STREAM, index))
        text, relocate = change_spans(post.text, spans, self.changer, rng)
        if text == post.text:
            return None
        ids, offsets = tokenize([text], self.tokenizer).text(0)
        if len(ids) > self.lengths[index]:
            return None
        moved = [a if a.span is None else replace(a, span=relocate(a.span)) for a in annotations]
        return AugmentedPost(text, ids, offsets, targets_from(moved, self.corpus.codes, offsets))


def _covered(evidence: NDArray[np.int64]) -> int:
    """How many tokens lie in evidence of any criterion."""
    return len({token for _, first, last in evidence.tolist() for token in range(first, last + 1)})
