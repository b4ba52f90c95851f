"""Folds of the training and validation posts of a study. Its test posts are in none of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from redsm5.datamodules.corpus import Corpus, Post
from redsm5.datamodules.split import UNUSED, GroupBy, Split, parts_of
from redsm5.errors import UserError


def confirmation_folds(corpus: Corpus, split: Split, *, folds: int, seed: int, group_by: GroupBy) -> list[Split]:
    """A split per fold: the fold is its test part, and of the others as large a share validates as in the study.

    Args:
        corpus: The corpus.
        split: Of the study; its test posts, and those it leaves out, are unused in all folds.
        folds: How many, at least 2.
        seed: Of both divisions.
        group_by: What may not be torn apart.

    Raises:
        UserError: There are fewer groups than folds, or what a fold leaves is of one author.
    """
    pool = {*split.train, *split.val}
    posts = [post for post in corpus.posts if post.id in pool]
    kind = "authors" if group_by == "author" else "posts"
    groups = _groups(posts, group_by)
    if groups < folds + 1:  # what is not tested has to train and to validate
        raise UserError(f"the training and validation posts have {groups} {kind}; --folds {folds} needs {folds + 1}")
    fold_of = parts_of(corpus, posts, (1 / folds,) * folds, seed, group_by)
    share = len(split.val) / len(pool)
    unused = tuple(post.id for post in corpus.posts if post.id not in pool)
    made = []
    for fold in range(folds):
        rest = [post for post in posts if fold_of[post.id] != fold]
        if _groups(rest, group_by) < 2:
            raise UserError(
                f"fold {fold} of {folds} leaves the posts of one author, and they cannot both train and validate; "
                "ask for more --folds"
            )
        part = parts_of(corpus, rest, (1 - share, share), seed, group_by)
        made.append(
            Split(
                train=tuple(post.id for post in rest if part[post.id] == 0),
                val=tuple(post.id for post in rest if part[post.id] == 1),
                test=tuple(post.id for post in posts if fold_of[post.id] == fold),
                unused=unused,
            )
        )
    return made


def _groups(posts: Sequence[Post], group_by: GroupBy) -> int:
    return len({post.author for post in posts}) if group_by == "author" else len(posts)


def split_csv(split: Split) -> str:
    """A split as ``data.split_file`` takes it."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("post_id", "split"))
    for name, posts in (("train", split.train), ("val", split.val), ("test", split.test), (UNUSED, split.unused)):
        rows.writerows((post, name) for post in posts)
    return text.getvalue()
