"""Posts as tokens and targets; a planned batch in, a ``Batch`` out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from redsm5.datamodules.augmented_posts import AugmentedPosts
from redsm5.datamodules.batch import Batch
from redsm5.datamodules.collate import EncodedExample, collate
from redsm5.datamodules.formats import Example
from redsm5.datamodules.frames import Layout
from redsm5.datamodules.sentence_tokens import sentence_tokens
from redsm5.datamodules.streams import TOKEN_STREAM, WINDOW_STREAM
from redsm5.datamodules.targets import Targets
from redsm5.datamodules.tokenization import TokenTable
from redsm5.datamodules.windows import inside, select_windows, window_count, window_slices

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PlannedBatch:
    """What the sampler hands to the dataset: the epoch travels along, since persistent workers are not told it."""

    epoch: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class WindowSettings:
    """How posts are cut.

    Attributes:
        room: Tokens of the post in a window, at most.
        stride: Tokens shared by neighbours.
        max_windows: Windows of a post that a training step sees, at most; None for all.
        seed: Of the sampling of windows.
        token_dropout: Share of the post's tokens that a training step hides.
        mask_id: What stands in their place.
    """

    room: int
    stride: int
    max_windows: int | None
    seed: int
    token_dropout: float = 0.0
    mask_id: int = 0


class PostDataset(Dataset[Batch]):
    """Posts that are cut into windows when a batch is built.

    Args:
        tokens: Tokens of the posts.
        targets: Targets of the posts, in the same order.
        layout: How windows are laid out.
        settings: How posts are cut.
        training: Whether windows are sampled; otherwise all are there.
        sentences: Token ranges of the sentences of the posts, where batches are to say where sentences are.
        augmented: Changes posts in training; None to leave them as they are.
    """

    def __init__(
        self,
        tokens: TokenTable,
        targets: tuple[Targets, ...],
        layout: Layout,
        settings: WindowSettings,
        *,
        training: bool,
        sentences: tuple[IntArray, ...] | None = None,
        augmented: AugmentedPosts | None = None,
    ) -> None:
        self.tokens = tokens
        self.targets = targets
        self.layout = layout
        self.settings = settings
        self.training = training
        self.sentences = sentences
        self._augmented = augmented if training else None
        self._lengths = tokens.lengths if self._augmented is None else self._augmented.lengths

    def __getitem__(self, planned: PlannedBatch) -> Batch:
        return collate([self.encode(example, planned.epoch) for example in planned.examples], self.layout)

    def sizes(self, examples: list[Example]) -> tuple[IntArray, IntArray]:
        """Number of windows [E] and tokens of the longest window [E], special tokens included.

        The longest criterion counts for every pair, so that the sizes do not depend on which criteria are drawn.
        """
        lengths = self._lengths[[example.post for example in examples]]
        counts = [window_count(int(n), self.settings.room, self.settings.stride) for n in lengths]
        windows: IntArray = np.array(counts, dtype=np.int64)
        if self.training and self.settings.max_windows is not None:
            windows = np.minimum(windows, self.settings.max_windows)
        longest: IntArray = np.minimum(lengths, self.settings.room) + self.layout.longest_frame
        return windows, longest

    def encode(self, example: Example, epoch: int) -> EncodedExample:
        """One example with the windows that this epoch shows of it.

        Args:
            example: A post, or a post with a criterion.
            epoch: Counted from 0.
        """
        ids, offsets = self.tokens.text(example.post)
        targets = self.targets[example.post]
        changed = None if self._augmented is None else self._augmented.post(example.post, epoch)
        if changed is not None:
            ids, offsets, targets = changed.ids, changed.offsets, changed.targets
        evidence, hard_negatives = targets.evidence, targets.hard_negatives
        labels, unknown = targets.labels, targets.unknown
        if self.layout.pairs:
            evidence, hard_negatives = _only(evidence, example.criterion), _only(hard_negatives, example.criterion)
            labels, unknown = labels[[example.criterion]], unknown[[example.criterion]]
        windows = window_slices(len(ids), self.settings.room, self.settings.stride)
        most = self.settings.max_windows
        if self.training and most is not None and len(windows) > most:
            whole, cut = (chosen.any(axis=1) for chosen in inside(evidence[:, 1:], windows))
            denied = inside(hard_negatives[:, 1:], windows)[0].any(axis=1)
            # A sentence that no window holds whole is still to be seen.
            priority = np.select([whole, cut, denied], [3, 2, 1], default=0)
            # Seeds count from 0; the criterion is -1 where an example is a whole post.
            key = (self.settings.seed, epoch, WINDOW_STREAM, example.post, example.criterion + 1)
            windows = windows[select_windows(priority, most, np.random.default_rng(key))]
        sentences = None if self.sentences is None else self.sentences[example.post]
        if sentences is not None and changed is not None:
            sentences = sentence_tokens(changed.text, changed.offsets)
        if self.training and self.settings.token_dropout:
            key = (self.settings.seed, epoch, TOKEN_STREAM, example.post, example.criterion + 1)
            hidden = np.random.default_rng(key).random(len(ids)) < self.settings.token_dropout
            ids = np.where(hidden, np.int32(self.settings.mask_id), ids)
        return EncodedExample(example, windows, ids, offsets, labels, unknown, evidence, hard_negatives, sentences)


def _only(rows: IntArray, criterion: int) -> IntArray:
    """The rows of one criterion, as rows of output 0."""
    chosen: IntArray = rows[rows[:, 0] == criterion].copy()
    chosen[:, 0] = 0
    return chosen
