"""Rows against each other: one text per post, known labels, annotations of posts that are there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from redsm5.datamodules.corpus import Post
from redsm5.datamodules.criteria import SPECIAL_CASE
from redsm5.datamodules.rows import LABEL_COLUMN, AnnotationRow, PostRow
from redsm5.datamodules.tables import shown
from redsm5.errors import UserError

_AUTHOR = re.compile(r"s_(.+)_\d+")


@dataclass(frozen=True, slots=True)
class Offender:
    """A label or post id that annotations should not name: how often they do, and where first."""

    name: str
    rows: int
    first: str


@dataclass(frozen=True, slots=True)
class Validated:
    """What is left to align, and what was put aside.

    Attributes:
        posts: Posts with a text, each once, in file order.
        rows: Annotations with a known label and a post in ``posts``, in file order.
        duplicate_posts: Rows of posts that repeat an earlier one.
        empty_posts: Ids of posts without text; they are left out.
        rows_of_empty_posts: Annotations left out with them.
        unknown_labels: Labels that are no criterion; a fit is refused.
        missing_posts: Posts that only annotations name; a fit is refused.
        refusals: Why a fit is refused, one sentence each.
    """

    posts: tuple[Post, ...]
    rows: tuple[AnnotationRow, ...]
    duplicate_posts: int
    empty_posts: tuple[str, ...]
    rows_of_empty_posts: int
    unknown_labels: tuple[Offender, ...]
    missing_posts: tuple[Offender, ...]
    refusals: tuple[str, ...]


def author_of(post_id: str) -> str:
    """The author in a post id of the form ``s_<author>_<n>``, else the id itself.

    Args:
        post_id: The id.
    """
    match = _AUTHOR.fullmatch(post_id)
    return match[1] if match else post_id


def unique_posts(rows: list[PostRow]) -> tuple[list[PostRow], int]:
    """Each post once, in file order, and the number of repeated rows.

    Args:
        rows: Posts as read.

    Raises:
        UserError: A post id comes with two texts; names both rows.
    """
    first: dict[str, PostRow] = {}
    for row in rows:
        earlier = first.setdefault(row.post_id, row)
        if earlier.text != row.text:
            raise UserError(
                f"{row.place}: the post {shown(row.post_id)} has another text than in {earlier.place}; keep one "
                "of the two"
            )
    return list(first.values()), len(rows) - len(first)


def validate(posts: list[PostRow], annotations: list[AnnotationRow], codes: tuple[str, ...]) -> Validated:
    """Sort out rows; nothing is dropped without being counted.

    Args:
        posts: Rows of posts.
        annotations: Rows of annotations, special cases left out.
        codes: The codes of the criteria.

    Raises:
        UserError: A post id comes with two texts, or no post has a text.
    """
    unique, duplicates = unique_posts(posts)
    empty = {row.post_id for row in unique if not row.text.strip()}
    kept = tuple(Post(row.post_id, row.text, author_of(row.post_id)) for row in unique if row.post_id not in empty)
    if not kept:
        raise UserError(f"{posts[0].place}: neither this post nor any other has a text")
    known_posts, known_codes = {post.id for post in kept}, set(codes)
    rows: list[AnnotationRow] = []
    unknown: dict[str, list[AnnotationRow]] = {}
    missing: dict[str, list[AnnotationRow]] = {}
    of_empty = 0
    for row in annotations:
        if row.label not in known_codes:
            unknown.setdefault(row.label, []).append(row)
        elif row.post_id in empty:
            of_empty += 1
        elif row.post_id not in known_posts:
            missing.setdefault(row.post_id, []).append(row)
        else:
            rows.append(row)
    unknown_labels, missing_posts = _offenders(unknown), _offenders(missing)
    return Validated(
        posts=kept,
        rows=tuple(rows),
        duplicate_posts=duplicates,
        empty_posts=tuple(row.post_id for row in unique if row.post_id in empty),
        rows_of_empty_posts=of_empty,
        unknown_labels=unknown_labels,
        missing_posts=missing_posts,
        refusals=tuple(_refusals(unknown_labels, missing_posts, codes, bool(rows))),
    )


def _offenders(grouped: dict[str, list[AnnotationRow]]) -> tuple[Offender, ...]:
    return tuple(Offender(_name(name), len(rows), rows[0].place) for name, rows in grouped.items())


def _name(value: str) -> str:
    display = shown(value)
    return value if display == repr(value) else display


def _refusals(
    unknown: tuple[Offender, ...], missing: tuple[Offender, ...], codes: tuple[str, ...], any_left: bool
) -> list[str]:
    refusals = []
    if unknown:
        more = f" and {len(unknown) - 1} more labels" if len(unknown) > 1 else ""
        refusals.append(
            f"{unknown[0].first}: {LABEL_COLUMN} is {unknown[0].name}, which is no criterion "
            f"({unknown[0].rows} rows){more}: "
            f"correct it, or add it to a criteria file (known are {', '.join(codes)} and {SPECIAL_CASE})"
        )
    if missing:
        total = sum(post.rows for post in missing)
        refusals.append(
            f"{missing[0].first}: the post {missing[0].name} is not among the posts ({total} annotations of "
            f"{len(missing)} "
            "posts have none): add the posts, or remove the annotations"
        )
    if not any_left and not refusals:
        refusals.append("no annotation is left to learn from: all are special cases or belong to posts without text")
    return refusals
