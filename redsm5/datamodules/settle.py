"""Duplicate and conflicting annotations: one judgement per post, criterion and sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from redsm5.datamodules.alignment import Alignment
from redsm5.datamodules.corpus import Annotation
from redsm5.datamodules.rows import AnnotationRow

Conflicts = Literal["positive", "negative", "drop"]
"""Which judgement stands where experts disagree on a sentence."""


@dataclass(frozen=True, slots=True)
class BoundRow:
    """An annotation as read and where its sentence was found."""

    row: AnnotationRow
    alignment: Alignment


@dataclass(frozen=True, slots=True)
class Conflict:
    """One sentence that was judged both ways; ``kept`` says which judgement stands."""

    post_id: str
    criterion: str
    sentence_ids: tuple[str, ...]
    kept: Literal["positive", "negative", "none"]


@dataclass(frozen=True, slots=True)
class Settled:
    """The rows that stand, in file order, the number of repeated rows, and the conflicts."""

    kept: tuple[BoundRow, ...]
    duplicates: int
    conflicts: tuple[Conflict, ...]


def settle(rows: tuple[BoundRow, ...], conflicts: Conflicts) -> Settled:
    """Drop repeated rows and settle conflicts.

    A sentence is known by its aligned span, so that two quotes of one place are one sentence and one quote of two
    places is two; where alignment failed, by its text.

    Args:
        rows: Aligned annotations in file order.
        conflicts: ``positive`` or ``negative`` wins, or ``drop`` both.

    Returns:
        At most one row per post, criterion and sentence.
    """
    judged: dict[tuple[object, ...], dict[int, BoundRow]] = {}
    duplicates = 0
    for bound in rows:
        place = bound.alignment.span or bound.row.sentence
        by_status = judged.setdefault((bound.row.post_id, bound.row.label, place), {})
        if bound.row.status in by_status:
            duplicates += 1
        else:
            by_status[bound.row.status] = bound
    kept: set[int] = set()
    settled: list[Conflict] = []
    for by_status in judged.values():
        if len(by_status) == 1:
            kept.update(id(bound) for bound in by_status.values())
            continue
        if conflicts != "drop":
            kept.add(id(by_status[1 if conflicts == "positive" else 0]))
        first = next(iter(by_status.values())).row
        settled.append(
            Conflict(
                post_id=first.post_id,
                criterion=first.label,
                sentence_ids=tuple(dict.fromkeys(bound.row.sentence_id for bound in by_status.values())),
                kept="none" if conflicts == "drop" else conflicts,
            )
        )
    return Settled(tuple(bound for bound in rows if id(bound) in kept), duplicates, tuple(settled))


def annotation_of(bound: BoundRow) -> Annotation:
    """The annotation of the corpus, without its sentence.

    Args:
        bound: A row that stands.
    """
    row, alignment = bound.row, bound.alignment
    return Annotation(
        post_id=row.post_id,
        sentence_id=row.sentence_id,
        criterion=row.label,
        status=row.status,
        span=alignment.span,
        alignment=alignment.kind,
        score=alignment.score,
    )
