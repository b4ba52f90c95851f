"""What reading a corpus found: counts and ids, never post text."""

from __future__ import annotations

from collections import Counter

import numpy as np
from pydantic import BaseModel, ConfigDict

from redsm5.datamodules.corpus import AlignmentKind, Annotation, Criterion
from redsm5.datamodules.sentences import SPLITTER_VERSION
from redsm5.datamodules.settle import Conflicts, Settled
from redsm5.datamodules.tables import Table
from redsm5.datamodules.validation import Offender, Validated

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)

_KINDS: tuple[AlignmentKind, ...] = ("exact", "normalised", "fuzzy", "failed")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileAudit(_Record):
    """A file that was read; ``encoding`` is ``utf-8``, ``utf-8-sig`` (with a byte order mark), or the format's own."""

    name: str
    format: str
    encoding: str
    rows: int


class LabelAudit(_Record):
    """A criterion: annotations that stand, and posts that have one; a post with both counts in both."""

    code: str
    positive_rows: int
    positive_posts: int
    hard_negative_rows: int
    hard_negative_posts: int


class OffenderAudit(_Record):
    """A label or post that annotations name and that is not there."""

    name: str
    rows: int
    first: str


class ConflictAudit(_Record):
    """A sentence with both statuses, and the judgement that stands."""

    post_id: str
    criterion: str
    sentence_ids: tuple[str, ...]
    kept: str


class FailedAudit(_Record):
    """An annotation whose sentence was not found: it keeps its label and has no span."""

    post_id: str
    sentence_id: str
    criterion: str
    status: int
    score: float


class AlignmentAudit(_Record):
    """How the annotations that stand were found.

    ``evidence`` and ``hard_negatives`` count by kind; ``score_quantiles`` are those of the fuzzy and failed ones (exact
    and normalised are 100 by definition), None where there are none.
    """

    fuzzy_cutoff: float
    fuzzy_margin: float
    splitter_version: str
    counts: dict[str, int]
    evidence: dict[str, int]
    hard_negatives: dict[str, int]
    score_quantiles: dict[str, float] | None
    failed: tuple[FailedAudit, ...]


class CorpusAudit(_Record):
    """The audit of a corpus.

    ``refusals`` are the sentences with which a fit refuses it; ``sha256`` is None where there are any.
    """

    source: str
    sha256: str | None
    files: tuple[FileAudit, ...]
    post_rows: int
    posts: int
    authors: int
    posts_without_criteria: int
    annotation_rows: int
    annotations: int
    labels: tuple[LabelAudit, ...]
    duplicate_posts: int
    duplicate_annotations: int
    conflict_policy: str
    conflicts: tuple[ConflictAudit, ...]
    special_case_rows: int
    unknown_labels: tuple[OffenderAudit, ...]
    missing_posts: tuple[OffenderAudit, ...]
    empty_posts: tuple[str, ...]
    annotations_of_empty_posts: int
    alignment: AlignmentAudit
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]


def make_audit(
    *,
    source: str,
    sha256: str | None,
    tables: tuple[Table, ...],
    post_rows: int,
    annotation_rows: int,
    special_cases: int,
    criteria: tuple[Criterion, ...],
    validated: Validated,
    settled: Settled,
    annotations: tuple[Annotation, ...],
    conflicts: Conflicts,
    cutoff: float,
    margin: float,
) -> CorpusAudit:
    """Put the findings of all steps together.

    Args:
        source: Where the corpus came from.
        sha256: Its hash, None where it is refused.
        tables: The files read.
        post_rows: Rows of posts.
        annotation_rows: Rows of annotations, special cases included.
        special_cases: How many of them were special cases.
        criteria: The criteria.
        validated: What validation put aside.
        settled: Duplicates and conflicts.
        annotations: Those that stand.
        conflicts: The policy.
        cutoff: Of fuzzy alignment.
        margin: Of fuzzy alignment.
    """
    positive_posts = {annotation.post_id for annotation in annotations if annotation.status == 1}
    labels = tuple(_label(criterion.code, annotations) for criterion in criteria)
    alignment = _alignment(annotations, cutoff, margin)
    return CorpusAudit(
        source=source,
        sha256=sha256,
        files=tuple(FileAudit(name=t.name, format=t.format, encoding=t.encoding, rows=len(t.rows)) for t in tables),
        post_rows=post_rows,
        posts=len(validated.posts),
        authors=len({post.author for post in validated.posts}),
        posts_without_criteria=len(validated.posts) - len(positive_posts),
        annotation_rows=annotation_rows,
        annotations=len(annotations),
        labels=labels,
        duplicate_posts=validated.duplicate_posts,
        duplicate_annotations=settled.duplicates,
        conflict_policy=conflicts,
        conflicts=tuple(
            ConflictAudit(post_id=c.post_id, criterion=c.criterion, sentence_ids=c.sentence_ids, kept=c.kept)
            for c in settled.conflicts
        ),
        special_case_rows=special_cases,
        unknown_labels=_offenders(validated.unknown_labels),
        missing_posts=_offenders(validated.missing_posts),
        empty_posts=validated.empty_posts,
        annotations_of_empty_posts=validated.rows_of_empty_posts,
        alignment=alignment,
        warnings=tuple(_warnings(validated, labels, alignment)),
        refusals=validated.refusals,
    )


def _offenders(offenders: tuple[Offender, ...]) -> tuple[OffenderAudit, ...]:
    return tuple(OffenderAudit(name=o.name, rows=o.rows, first=o.first) for o in offenders)


def _label(code: str, annotations: tuple[Annotation, ...]) -> LabelAudit:
    positive = [a.post_id for a in annotations if a.criterion == code and a.status == 1]
    negative = [a.post_id for a in annotations if a.criterion == code and a.status == 0]
    return LabelAudit(
        code=code,
        positive_rows=len(positive),
        positive_posts=len(set(positive)),
        hard_negative_rows=len(negative),
        hard_negative_posts=len(set(negative)),
    )


def _alignment(annotations: tuple[Annotation, ...], cutoff: float, margin: float) -> AlignmentAudit:
    inexact = [a.score for a in annotations if a.alignment in ("fuzzy", "failed")]
    quantiles = {str(q): round(float(np.quantile(inexact, q)), 1) for q in QUANTILES} if inexact else None
    return AlignmentAudit(
        fuzzy_cutoff=cutoff,
        fuzzy_margin=margin,
        splitter_version=SPLITTER_VERSION,
        counts=_counts(annotations),
        evidence=_counts(tuple(a for a in annotations if a.status == 1)),
        hard_negatives=_counts(tuple(a for a in annotations if a.status == 0)),
        score_quantiles=quantiles,
        failed=tuple(
            FailedAudit(
                post_id=a.post_id,
                sentence_id=a.sentence_id,
                criterion=a.criterion,
                status=a.status,
                score=round(a.score, 1),
            )
            for a in annotations
            if a.alignment == "failed"
        ),
    )


def _counts(annotations: tuple[Annotation, ...]) -> dict[str, int]:
    counted = Counter(annotation.alignment for annotation in annotations)
    return {kind: counted[kind] for kind in _KINDS}


def _warnings(validated: Validated, labels: tuple[LabelAudit, ...], alignment: AlignmentAudit) -> list[str]:
    warnings = []
    if validated.empty_posts:
        warnings.append(
            f"{len(validated.empty_posts)} posts have no text and are left out, with "
            f"{validated.rows_of_empty_posts} annotations"
        )
    failed, total = alignment.evidence["failed"], sum(alignment.evidence.values())
    if failed:
        warnings.append(
            f"{failed} of {total} evidence sentences ({failed / total:.1%}) were not found in their posts: "
            "their labels count, their spans are not learned"
        )
    if alignment.counts["fuzzy"]:
        warnings.append(
            f"{alignment.counts['fuzzy']} sentences were found only nearly; look at them before trusting the spans"
        )
    without = [label.code for label in labels if label.positive_posts == 0]
    if without and total:
        warnings.append(f"no post has evidence of {', '.join(without)}")
    return warnings
