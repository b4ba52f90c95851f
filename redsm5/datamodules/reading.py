"""Files or a dataset -> a validated, aligned corpus and its audit."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from redsm5.datamodules.alignment import DEFAULT_CUTOFF, DEFAULT_MARGIN, align
from redsm5.datamodules.audit import CorpusAudit, make_audit
from redsm5.datamodules.corpus import Corpus, Criterion, Post
from redsm5.datamodules.criteria import load_criteria
from redsm5.datamodules.rows import AnnotationRow, annotation_rows, post_rows
from redsm5.datamodules.settle import BoundRow, Conflicts, annotation_of, settle
from redsm5.datamodules.sources import open_source
from redsm5.datamodules.validation import validate
from redsm5.errors import UserError

_INDEX = re.compile(r"_(\d{1,6})\Z")


def corpus_of(data: Any) -> Corpus:
    """The corpus that a config names.

    Args:
        data: The section ``data`` of a parsed config.

    Raises:
        UserError: As ``read_corpus``.
    """
    corpus, _ = read_corpus(
        path=data.path,
        posts=data.posts,
        annotations=data.annotations,
        criteria=data.criteria,
        revision=data.dataset_revision,
        conflicts=data.conflicts,
        fuzzy_cutoff=data.fuzzy_cutoff,
        fuzzy_margin=data.fuzzy_margin,
    )
    return corpus


def read_corpus(
    *,
    path: str | None = None,
    posts: str | None = None,
    annotations: str | None = None,
    criteria: str | None = None,
    revision: str | None = None,
    conflicts: Conflicts = "positive",
    fuzzy_cutoff: float = DEFAULT_CUTOFF,
    fuzzy_margin: float = DEFAULT_MARGIN,
) -> tuple[Corpus, CorpusAudit]:
    """Read, validate and align a corpus.

    Args:
        path: A folder with one ``*posts*`` and one ``*annotations*`` file (and maybe ``criteria.json|yaml|yml``), or a
            dataset id on the hub.
        posts: The posts file, instead of ``path``; with a dataset id, the ``config/split`` that holds the posts.
        annotations: Likewise.
        criteria: The criteria file; None for the one in the folder, else the nine DSM-5 symptoms.
        revision: Branch, tag or commit of a dataset; None for its main branch.
        conflicts: Which judgement stands where a sentence has both: ``positive``, ``negative``, or ``drop`` both.
        fuzzy_cutoff: The least similarity of a fuzzy alignment, 0 to 100.
        fuzzy_margin: How much better it must be than any other place of the post.

    Returns:
        The corpus and what was found on the way.

    Raises:
        UserError: It cannot be read, or holds annotations that a fit cannot use: unknown labels, posts that are
            missing.
    """
    corpus, audit = _read(path, posts, annotations, criteria, revision, conflicts, fuzzy_cutoff, fuzzy_margin)
    if corpus is None:
        more = (
            f" (and {len(audit.refusals) - 1} more; `redsm5 data check` lists them)" if len(audit.refusals) > 1 else ""
        )
        raise UserError(audit.refusals[0] + more)
    return corpus, audit


def check_corpus(
    *,
    path: str | None = None,
    posts: str | None = None,
    annotations: str | None = None,
    criteria: str | None = None,
    revision: str | None = None,
    conflicts: Conflicts = "positive",
    fuzzy_cutoff: float = DEFAULT_CUTOFF,
    fuzzy_margin: float = DEFAULT_MARGIN,
) -> CorpusAudit:
    """The audit of a corpus, also of one that ``read_corpus`` refuses for its labels or missing posts.

    Args:
        path: As for ``read_corpus``, like all others.
        posts: See ``path``.
        annotations: See ``path``.
        criteria: See ``path``.
        revision: See ``path``.
        conflicts: See ``path``.
        fuzzy_cutoff: See ``path``.
        fuzzy_margin: See ``path``.

    Raises:
        UserError: It cannot be read.
    """
    return _read(path, posts, annotations, criteria, revision, conflicts, fuzzy_cutoff, fuzzy_margin)[1]


def corpus_sha256(posts: tuple[Post, ...], rows: tuple[AnnotationRow, ...], criteria: tuple[Criterion, ...]) -> str:
    """The hash of a corpus: its content as JSON, annotations sorted.

    Alignments are left out: they follow from the content, and their scores may change with a library.

    Args:
        posts: In file order, which matters: batches refer to it.
        rows: The annotations that stand, in any order.
        criteria: In the order of the outputs.

    Returns:
        64 hexadecimal digits.
    """
    content = {
        "posts": [[post.id, post.author, post.text] for post in posts],
        "annotations": sorted([row.post_id, row.sentence_id, row.label, row.status, row.sentence] for row in rows),
        "criteria": [[criterion.code, criterion.title, criterion.text] for criterion in criteria],
    }
    canonical = json.dumps(content, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _read(
    path: str | None,
    posts: str | None,
    annotations: str | None,
    criteria_file: str | None,
    revision: str | None,
    conflicts: Conflicts,
    cutoff: float,
    margin: float,
) -> tuple[Corpus | None, CorpusAudit]:
    """The corpus (None where it is refused) and its audit."""
    criteria = load_criteria(criteria_file) if criteria_file is not None else None  # Before minutes of reading.
    source = open_source(path, posts, annotations, revision)
    criteria = criteria or load_criteria(source.criteria)
    raw_posts = post_rows(source.posts)
    raw_annotations, special_cases = annotation_rows(source.annotations)
    validated = validate(raw_posts, raw_annotations, tuple(criterion.code for criterion in criteria))
    texts = {post.id: post.text for post in validated.posts}
    settled = settle(_bind(validated.rows, texts, cutoff, margin), conflicts)
    order = {post.id: position for position, post in enumerate(validated.posts)}
    kept = sorted(settled.kept, key=lambda bound: order[bound.row.post_id])
    aligned = tuple(annotation_of(bound) for bound in kept)
    corpus = None
    if not validated.refusals:
        sha256 = corpus_sha256(validated.posts, tuple(bound.row for bound in kept), criteria)
        corpus = Corpus(validated.posts, aligned, criteria, sha256, source.name, source.synthetic)
    return corpus, make_audit(
        source=source.name,
        sha256=corpus.sha256 if corpus else None,
        tables=(source.posts, source.annotations),
        post_rows=len(raw_posts),
        annotation_rows=len(raw_annotations) + special_cases,
        special_cases=special_cases,
        criteria=criteria,
        validated=validated,
        settled=settled,
        annotations=aligned,
        conflicts=conflicts,
        cutoff=cutoff,
        margin=margin,
    )


def _bind(rows: tuple[AnnotationRow, ...], texts: dict[str, str], cutoff: float, margin: float) -> tuple[BoundRow, ...]:
    """Align all rows, post by post, so that what is computed per post is computed once; the order stays."""
    by_post = sorted(range(len(rows)), key=lambda position: rows[position].post_id)
    bound: dict[int, BoundRow] = {}
    for position in by_post:
        row = rows[position]
        index = _INDEX.search(row.sentence_id)
        hint = int(index[1]) if index else None
        bound[position] = BoundRow(
            row, align(row.sentence, texts[row.post_id], hint=hint, cutoff=cutoff, margin=margin)
        )
    return tuple(bound[position] for position in range(len(rows)))
