"""The validated, aligned corpus: what every later stage reads. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

AlignmentKind = Literal["exact", "normalised", "fuzzy", "failed"]
"""How a sentence was found in its post; `failed` has no span."""


@dataclass(frozen=True, slots=True)
class Criterion:
    """One label: a short code as in the annotations, a title and a description."""

    code: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Post:
    """One post. ``author`` is the group that a split must not tear apart (the post's id where unknown)."""

    id: str
    text: str
    author: str


@dataclass(frozen=True, slots=True)
class Span:
    """Character offsets into the original post text, end exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Annotation:
    """One expert judgement of one sentence for one criterion, duplicates and conflicts settled.

    ``status`` 1: the sentence is evidence; 0: a hard negative. ``span`` is None where alignment failed;
    ``score`` is the alignment score, 0 to 100.
    """

    post_id: str
    sentence_id: str
    criterion: str
    status: Literal[0, 1]
    span: Span | None
    alignment: AlignmentKind
    score: float


@dataclass(frozen=True)
class Corpus:
    """Posts in file order, annotations grouped by post in file order, criteria in the order of the outputs.

    ``sha256`` is the hash of the validated content (posts, annotations, criteria), not of the file bytes.
    ``source`` says where it came from (paths, or dataset id with the resolved revision); ``synthetic``, that it
    is one of ``redsm5 data synth``.
    """

    posts: tuple[Post, ...]
    annotations: tuple[Annotation, ...]
    criteria: tuple[Criterion, ...]
    sha256: str
    source: str
    synthetic: bool = False

    @cached_property
    def codes(self) -> tuple[str, ...]:
        """Criterion codes in the order of the outputs."""
        return tuple(c.code for c in self.criteria)

    @cached_property
    def post_by_id(self) -> dict[str, Post]:
        """Posts by their id."""
        return {p.id: p for p in self.posts}

    @cached_property
    def annotations_by_post(self) -> dict[str, tuple[Annotation, ...]]:
        """Annotations of each post; every post is a key."""
        grouped: dict[str, list[Annotation]] = {p.id: [] for p in self.posts}
        for annotation in self.annotations:
            grouped[annotation.post_id].append(annotation)
        return {post_id: tuple(rows) for post_id, rows in grouped.items()}

    def labels(self, post_id: str) -> tuple[int, ...]:
        """One 0/1 per criterion: 1 where any annotation of the post has status 1, aligned or not."""
        positive = {a.criterion for a in self.annotations_by_post[post_id] if a.status == 1}
        return tuple(int(code in positive) for code in self.codes)
