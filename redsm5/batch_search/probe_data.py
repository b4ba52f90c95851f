"""The data of a probe: a corpus of filler text whose posts fill windows, and batches of set sizes of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from torch.utils.data import DataLoader, Sampler

from redsm5.datamodules.batch import Batch
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.datamodules.dataset import PlannedBatch
from redsm5.datamodules.formats import Example
from redsm5.datamodules.rows import ANNOTATION_COLUMNS, POST_COLUMNS
from redsm5.datamodules.split import Part

if TYPE_CHECKING:
    from redsm5.datamodules.corpus import Criterion

POSTS = 40
"""Enough that each part of the split has some."""
SHORT = 4
"""Every so many posts one is short: with it a batch has padding, without which attention needs no mask."""
SENTENCE = "every day we walk to the old house near the river and talk about the news of the long week"
"""Filler: 19 words."""


def write_filler(folder: Path, criteria: Sequence[Criterion], tokens: int) -> list[str]:
    """Write a corpus whose posts have at least `tokens` tokens, with evidence and hard negatives of every criterion.

    Args:
        folder: Where to; made if need be.
        criteria: Those of the run.
        tokens: Of a post, at least; a word is at least one token.

    Returns:
        The texts of the posts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    records = [{"code": c.code, "title": c.title, "text": c.text} for c in criteria]
    (folder / "criteria.json").write_text(json.dumps(records), encoding="utf-8")
    texts, rows = [], []
    count = max(tokens // len(SENTENCE.split()) + 1, len(criteria) + 1)
    for post in range(POSTS):
        sentences = [f"In part {post} and {n} {SENTENCE}." for n in range(count)]
        if post % SHORT == 0:
            sentences = [f"Part {post}."]
        texts.append(" ".join(sentences))
        for k, criterion in enumerate(criteria):
            # Evidence lies in the first sentences, which every first window shows.
            status = 0 if (post + k) % 3 == 0 else 1
            n = k % max(1, min(len(sentences), tokens // 60))
            rows.append((f"s_{post}_1", f"s_{post}_1_{n}", sentences[n], criterion.code, status))
    _write(folder / "filler_posts.csv", POST_COLUMNS, [(f"s_{n}_1", text) for n, text in enumerate(texts)])
    _write(folder / "filler_annotations.csv", ANNOTATION_COLUMNS, rows)
    return texts


def _write(path: Path, columns: Sequence[str], rows: Sequence[tuple[object, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


class ProbeData(ReDSM5DataModule):
    """Batches of a set number of windows, each of ``max_length`` tokens.

    Attributes:
        train_windows: Windows of each training batch, in their order.
        eval_windows: Windows of the one validation batch.
    """

    train_windows: tuple[int, ...] = (1,)
    eval_windows: int = 1
    _evaluated: frozenset[str] = frozenset()

    def train_dataloader(self) -> DataLoader[Batch]:
        """The training batches of the probe."""
        return self._batches(self.train_windows, training=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation batch of the probe."""
        return self._batches((self.eval_windows,), training=False)

    def steps_per_epoch(self) -> int:
        """Training batches of the probe."""
        return len(self.train_windows)

    def post_ids(self, part: Part) -> tuple[str, ...]:
        """Ids of the posts of a part; of validation those that are in its batch, since only they are predicted."""
        ids = super().post_ids(part)
        return tuple(post for post in ids if post in self._evaluated) if part == "val" else ids

    def _batches(self, sizes: Sequence[int], *, training: bool) -> DataLoader[Batch]:
        sampler = self._sampler("train" if training else "val", training=training)
        examples = sampler.examples(0)
        counts, lengths = sampler.dataset.sizes(examples)
        full = [
            (e, n) for e, n, length in zip(examples, counts.tolist(), lengths, strict=True) if length == max(lengths)
        ]
        # Pairs with the longest criterion first: the others leave some of a window.
        full.sort(key=lambda found: -len(sampler.dataset.layout.frame(found[0].criterion)))
        short = examples[int(lengths.argmin())]
        planned = [PlannedBatch(0, tuple(_filled(full, short, size))) for size in sizes]
        if not training:  # a post whose pairs are not all predicted has no figures
            planned = [PlannedBatch(0, tuple(_whole(batch.examples, examples))) for batch in planned]
            self._evaluated = frozenset(self.corpus.posts[e.post].id for batch in planned for e in batch.examples)
        return DataLoader(sampler.dataset, sampler=_Planned(planned), batch_size=None, collate_fn=lambda batch: batch)


class _Planned(Sampler[PlannedBatch]):
    """Batches in a set order."""

    def __init__(self, batches: list[PlannedBatch]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[PlannedBatch]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


def _filled(full: Sequence[tuple[Example, int]], short: Example, size: int) -> Iterator[Example]:
    """Full examples in turn until their windows, and the one of a short example, make up a size, or a little more."""
    left = size - 1 if size > 1 else 1
    for example, count in cycle(full):
        if left <= 0:
            break
        yield example
        left -= count
    if size > 1:
        yield short


def _whole(chosen: Sequence[Example], examples: Sequence[Example]) -> Iterator[Example]:
    """The chosen examples and those that are left of their posts."""
    yield from chosen
    posts, there = {example.post for example in chosen}, set(chosen)
    yield from (example for example in examples if example.post in posts and example not in there)
