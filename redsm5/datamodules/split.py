"""Which posts train, validate and test: stratified by author, as folds, or from a file."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Literal, get_args

import numpy as np

from redsm5.datamodules.corpus import Corpus, Post
from redsm5.datamodules.files import decode, read_bytes
from redsm5.datamodules.stratification import stratify
from redsm5.errors import UserError

log = logging.getLogger(__name__)

Part = Literal["train", "val", "test"]
GroupBy = Literal["author", "post"]

UNUSED = "unused"
"""What a split file calls posts that are in no part: they are neither learned from nor scored."""

PART_NAMES: dict[str, Part | Literal["unused"]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    UNUSED: "unused",
}
"""What a split file may call the parts."""


@dataclass(frozen=True)
class Split:
    """Post ids of each part, in the order of the corpus; a post may be in none."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    unused: tuple[str, ...] = ()

    def part(self, name: Part) -> tuple[str, ...]:
        """Post ids of one part."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


def split_sha256(split: Split) -> str:
    """Hash of the ids of each part."""
    return hashlib.sha256(json.dumps(astuple(split)).encode()).hexdigest()


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
    return _split_of(corpus, parts_of(corpus, corpus.posts, fractions, seed, group_by))


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
    parts = parts_of(corpus, corpus.posts, (1.0 / folds,) * folds, seed, group_by)
    test, val = fold, (fold + 1) % folds
    return _split_of(corpus, {post: 2 if part == test else 1 if part == val else 0 for post, part in parts.items()})


def read_split(path: str, corpus: Corpus) -> Split:
    """A split from a CSV file with the columns ``post_id`` and ``split``.

    Args:
        path: The file; parts are called train, val (or valid, validation, dev) and test, and posts in none unused.
        corpus: The corpus; the file names each of its posts once.

    Raises:
        UserError: Names the file, the row and the post.
    """
    text, _ = decode(read_bytes(path), path)
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    chosen: dict[str, Part | Literal["unused"]] = {}
    try:
        if rows.fieldnames is None or not {"post_id", "split"} <= set(rows.fieldnames):
            raise UserError(f"{path}: the first row must name the columns post_id and split")
        for row in rows:
            post, name, where = row["post_id"], (row["split"] or "").strip().lower(), f"{path}, line {rows.line_num}"
            if post not in corpus.post_by_id:
                raise UserError(f"{where}: post_id {post!r} is not in the corpus; remove the row or use its corpus")
            if name not in PART_NAMES:
                raise UserError(
                    f"{where}: split is {name!r}; accepted are train, val (valid, validation, dev), test, unused"
                )
            if post in chosen:
                raise UserError(f"{where}: post_id {post!r} is there a second time; keep one row per post")
            chosen[post] = PART_NAMES[name]
    except csv.Error as error:
        raise UserError(f"{path}, line {rows.line_num}: not valid CSV ({error})") from None
    missing = [post.id for post in corpus.posts if post.id not in chosen]
    if missing:
        raise UserError(f"{path} leaves out {len(missing)} posts of the corpus, the first is {missing[0]!r}; add them")
    index = {"train": 0, "val": 1, "test": 2, UNUSED: 3}
    split = _split_of(corpus, {post: index[part] for post, part in chosen.items()})
    for part in get_args(Part):
        if not split.part(part):
            raise UserError(f"{path} puts no post into {part}; each of train, val and test needs at least one")
    torn = _authors_in_two_parts(corpus, chosen)
    if torn:
        log.warning("%s puts posts of the same author into two parts for %d authors", path, torn)
    return split


def parts_of(
    corpus: Corpus, posts: Sequence[Post], fractions: Sequence[float], seed: int, group_by: GroupBy
) -> dict[str, int]:
    """The part of each of some posts, counted from 0: stratified over all labels, no group torn apart.

    Args:
        corpus: The corpus.
        posts: Of it.
        fractions: Share of each part; they sum to 1.
        seed: Of the order among equals.
        group_by: What may not be in two parts.

    Raises:
        UserError: There are fewer groups than parts.
    """
    groups = [post.author if group_by == "author" else post.id for post in posts]
    index = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    if len(index) < len(fractions):
        hint = "; set data.group_by to post" if group_by == "author" and len(posts) >= len(fractions) else ""
        kind = "authors" if group_by == "author" else "posts"
        raise UserError(f"{corpus.source} has {len(index)} {kind}; {len(fractions)} parts need one each{hint}")
    labels = np.zeros((len(index), len(corpus.codes)), dtype=np.int64)
    sizes = np.zeros(len(index), dtype=np.int64)
    for post, group in zip(posts, groups, strict=True):
        labels[index[group]] += corpus.labels(post.id)
        sizes[index[group]] += 1
    part = stratify(labels, sizes, fractions, seed)
    return {post.id: int(part[index[group]]) for post, group in zip(posts, groups, strict=True)}


def _split_of(corpus: Corpus, parts: dict[str, int]) -> Split:
    return Split(*(tuple(p.id for p in corpus.posts if parts[p.id] == part) for part in range(4)))


def _authors_in_two_parts(corpus: Corpus, parts: dict[str, Part | Literal["unused"]]) -> int:
    by_author: dict[str, set[str]] = {}
    for post in corpus.posts:
        if parts[post.id] != UNUSED:
            by_author.setdefault(post.author, set()).add(parts[post.id])
    return sum(len(names) > 1 for names in by_author.values())
