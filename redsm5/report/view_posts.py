"""The posts of the view page as the data that its script reads."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Any

from redsm5.metrics.evidence import hits, scorable
from redsm5.metrics.records import GoldPost, PredictedPost, ScoredSpan

Json = dict[str, Any]


def page_data(
    *,
    texts: Mapping[str, str],
    gold: Sequence[GoldPost] | None,
    predicted: Sequence[PredictedPost],
    decisions: Sequence[Sequence[bool]],
    codes: Sequence[str],
    titles: Sequence[str],
    thresholds: Sequence[float],
) -> Json:
    """Criteria and posts; all offsets count characters, as everywhere else.

    Args:
        texts: Text by post id, of every predicted post.
        gold: The truth about every predicted post, in any order; None for predictions alone.
        predicted: The posts, in the order of the list; candidates are the spans that beat null, and only those.
        decisions: Per predicted post, whether each criterion is decided positive.
        codes: Criteria in the order of the outputs.
        titles: Their titles.
        thresholds: What the probabilities were compared with.

    Raises:
        ValueError: Codes, titles and thresholds differ in number, or a predicted post lacks its text or truth.
    """
    if not len(codes) == len(titles) == len(thresholds):
        raise ValueError(
            f"{len(codes)} codes, {len(titles)} titles and {len(thresholds)} thresholds: one each is needed"
        )
    truth = None if gold is None else {g.post_id: g for g in gold}
    for post in predicted:
        if post.post_id not in texts:
            raise ValueError(f"post {post.post_id} is predicted but has no text")
        if truth is not None and post.post_id not in truth:
            raise ValueError(f"post {post.post_id} is predicted but has no gold")
    criteria = [
        {"code": code, "title": title, "mark": mark, "threshold": _number(threshold)}
        for code, title, mark, threshold in zip(codes, titles, criterion_marks(codes), thresholds, strict=True)
    ]
    posts = [
        _post(p, decided, texts[p.post_id], None if truth is None else truth[p.post_id])
        for p, decided in zip(predicted, decisions, strict=True)
    ]
    return {"criteria": criteria, "posts": posts, "has_gold": gold is not None}


def criterion_marks(codes: Sequence[str]) -> list[str]:
    """A short mark per code, all different: initials of the first two words, or the first two letters (DM, AN)."""
    marks: list[str] = []
    for code in codes:
        words = re.findall(r"[^\W_]+", code.upper()) or ["?"]
        stem = words[0][0] + words[1][0] if len(words) > 1 else words[0][:2]
        numbered = (f"{stem[0]}{n}" for n in count(2))
        marks.append(next(mark for mark in chain([stem], numbered) if mark not in marks))
    return marks


def _post(post: PredictedPost, decided: Sequence[bool], text: str, gold: GoldPost | None) -> Json:
    entry: Json = {
        "id": post.post_id,
        "text": text,
        "probabilities": [_number(p) for p in post.probabilities],
        "decided": [int(d) for d in decided],
        "spans": [[_span(s, k, gold) for s in ranked] for k, ranked in enumerate(post.candidates)],
    }
    if gold is not None:
        entry |= {
            "labels": list(gold.labels),
            "gold": [[[s.start, s.end] for s in spans] for spans in gold.evidence],
            "hard": [[[s.start, s.end] for s in spans] for spans in gold.hard_negatives],
            "unaligned": [int(u) for u in gold.unaligned],
        }
    return entry


def _span(span: ScoredSpan, k: int, gold: GoldPost | None) -> list[int | float | None]:
    """Start, end, score, and 1 or 0 for a hit as in hit@1: None where there is no aligned evidence to hit."""
    hit = None
    if gold is not None and gold.evidence[k] and scorable(gold, k):
        hit = int(hits(span, gold.evidence[k], gold.sentences))
    return [span.start, span.end, _number(span.score), hit]


def _number(value: float) -> float | None:
    """Six significant digits, so that no sign is lost; None where JSON has no such number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
