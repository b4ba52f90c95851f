"""Which posts train, validate and test: stratified by author, as folds, or from a file."""

from __future__ import annotations

import csv
import io
import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.files import decode, read_bytes
from redsm5.datamodules.stratification import stratify
from redsm5.errors import UserError

log = logging.getLogger(__name__)

Part = Literal["train", "val", "test"]
GroupBy = Literal["author", "post"]

PART_NAMES: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
}
"""What a split file may call the parts."""


@dataclass(frozen=True)
class Split:
    """Post ids of each part, in the order of the corpus."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]

    def part(self, name: Part) -> tuple[str, ...]:
        """Post ids of one part."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def make_split(corpus: Corpus, *, fractions: tuple[float, float, float], seed: int, group_by: GroupBy) -> Split:
    """A seeded split, stratified over all labels, that tears no group apart.

    Args:
        corpus: The corpus.
        fractions: Shares of train, val and test; they sum to 1.
        seed: Of the order among equals.
        group_by: What may not be in two parts: the posts of an author, or just a post.

    Raises:
        UserError: There are fewer than three groups.
    """
    return _split_of(corpus, _parts(corpus, fractions, seed, group_by))


def make_folds(corpus: Corpus, *, folds: int, fold: int, seed: int, group_by: GroupBy) -> Split:
    """Fold ``fold`` of ``folds`` equal stratified ones is the test part, the next one val, the others train.

    Args:
        corpus: The corpus.
        folds: Number of folds, at least 3.
        fold: Which one is tested, counted from 0.
        seed: Of the order among equals; the folds depend on it, not on ``fold``.
        group_by: What may not be in two folds.

    Raises:
        UserError: There are fewer groups than folds.
    """
    parts = _parts(corpus, (1.0 / folds,) * folds, seed, group_by)
    test, val = fold, (fold + 1) % folds
    return _split_of(corpus, {post: 2 if part == test else 1 if part == val else 0 for post, part in parts.items()})


def read_split(path: str, corpus: Corpus) -> Split:
    """A split from a CSV file with the columns ``post_id`` and ``split``.

    Args:
        path: The file; parts are called train, val (or valid, validation, dev) and test.
        corpus: The corpus; the file names each of its posts once.

    Raises:
        UserError: Names the file, the row and the post.
    """
    text, _ = decode(read_bytes(path), path)
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    chosen: dict[str, Part] = {}
    try:
        if rows.fieldnames is None or not {"post_id", "split"} <= set(rows.fieldnames):
            raise UserError(f"{path}: the first row must name the columns post_id and split")
        for row in rows:
            post, name, where = row["post_id"], (row["split"] or "").strip().lower(), f"{path}, line {rows.line_num}"
            if post not in corpus.post_by_id:
                raise UserError(f"{where}: post_id {post!r} is not in the corpus; remove the row or use its corpus")
            if name not in PART_NAMES:
                raise UserError(f"{where}: split is {name!r}; accepted are train, val (valid, validation, dev), test")
            if post in chosen:
                raise UserError(f"{where}: post_id {post!r} is there a second time; keep one row per post")
            chosen[post] = PART_NAMES[name]
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: not valid CSV ({error})") from None
    missing = [post.id for post in corpus.posts if post.id not in chosen]
    if missing:
        raise UserError(f"{path} leaves out {len(missing)} posts of the corpus, the first is {missing[0]!r}; add them")
    index = {"train": 0, "val": 1, "test": 2}
    split = _split_of(corpus, {post: index[part] for post, part in chosen.items()})
    for part in PART_NAMES.values():
        if not split.part(part):
            raise UserError(f"{path} puts no post into {part}; each of train, val and test needs at least one")
    torn = _authors_in_two_parts(corpus, chosen)
    if torn:
        log.warning("%s puts posts of the same author into two parts for %d authors", path, torn)
    return split


def _parts(corpus: Corpus, fractions: tuple[float, ...], seed: int, group_by: GroupBy) -> dict[str, int]:
    """The part of each post."""
    groups = [post.author if group_by == "author" else post.id for post in corpus.posts]
    index = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    if len(index) < len(fractions):
        hint = "; set data.group_by to post" if group_by == "author" and len(corpus.posts) >= len(fractions) else ""
        kind = "authors" if group_by == "author" else "posts"
        raise UserError(f"{corpus.source} has {len(index)} {kind}; {len(fractions)} parts need one each{hint}")
    labels = np.zeros((len(index), len(corpus.codes)), dtype=np.int64)
    sizes = np.zeros(len(index), dtype=np.int64)
    for post, group in zip(corpus.posts, groups, strict=True):
        labels[index[group]] += corpus.labels(post.id)
        sizes[index[group]] += 1
    part = stratify(labels, sizes, fractions, seed)
    return {post.id: int(part[index[group]]) for post, group in zip(corpus.posts, groups, strict=True)}


def _split_of(corpus: Corpus, parts: dict[str, int]) -> Split:
    train, val, test = (tuple(p.id for p in corpus.posts if parts[p.id] == part) for part in range(3))
    return Split(train=train, val=val, test=test)


def _authors_in_two_parts(corpus: Corpus, parts: dict[str, Part]) -> int:
    by_author: dict[str, set[str]] = {}
    for post in corpus.posts:
        by_author.setdefault(post.author, set()).add(parts[post.id])
    return sum(len(names) > 1 for names in by_author.values())
