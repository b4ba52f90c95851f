"""The evidence page: one HTML file with posts, gold and predicted spans; the one output that shows post text."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import chain, count
from pathlib import Path
from string import Template
from typing import Any

from redsm5.atomic import write_text_atomically
from redsm5.metrics.evidence import hits, scorable
from redsm5.metrics.records import GoldPost, PredictedPost, ScoredSpan

SCRIPTS = ("offsets.js", "list.js", "post.js", "verdicts.js", "evidence.js")
"""The parts of the page's one script, in order; they share a scope, in which ``page`` is the data."""

Json = dict[str, Any]


def write_evidence_page(
    path: Path,
    *,
    texts: Mapping[str, str],
    gold: Sequence[GoldPost] | None,
    predicted: Sequence[PredictedPost],
    codes: Sequence[str],
    titles: Sequence[str],
    thresholds: Sequence[float],
    heading: str,
    facts: Mapping[str, str] | Sequence[tuple[str, str]],
    max_posts: int | None = None,
    min_score: float = 0.0,
) -> None:
    """Write the page, whole or not at all, readable by its owner only.

    The file needs no network and loads nothing: style, script and data stand in it, and its content security policy
    allows nothing else. Post text is data that the script shows as text, never as markup.

    Args:
        path: The file; its folder must exist.
        texts: Text by post id, of every predicted post.
        gold: The truth about every predicted post, in any order; None for a page of predictions alone.
        predicted: The posts, in the order of the list.
        codes: Criteria in the order of the outputs.
        titles: Their titles.
        thresholds: A criterion is decided positive at or above its threshold.
        heading: The page's title.
        facts: Names and values at the head of the page.
        max_posts: Only so many posts, the first; None for all.
        min_score: A span is predicted where its margin over the null option is above this.

    Raises:
        UserError: The file cannot be written.
        ValueError: Codes, titles and thresholds differ in number, or a predicted post lacks its text or truth.
    """
    data = page_data(
        texts=texts,
        gold=gold,
        predicted=predicted[:max_posts],
        codes=codes,
        titles=titles,
        thresholds=thresholds,
        min_score=min_score,
    )
    data |= {"facts": [[name, value] for name, value in dict(facts).items()], "total": len(predicted)}
    write_text_atomically(path, render_page(heading, data), mode=0o600)


def page_data(
    *,
    texts: Mapping[str, str],
    gold: Sequence[GoldPost] | None,
    predicted: Sequence[PredictedPost],
    codes: Sequence[str],
    titles: Sequence[str],
    thresholds: Sequence[float],
    min_score: float,
) -> Json:
    """What the page's script reads: criteria and posts; all offsets count characters, as everywhere else."""
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
        _post(p, texts[p.post_id], None if truth is None else truth[p.post_id], thresholds, min_score)
        for p in predicted
    ]
    return {"criteria": criteria, "posts": posts, "has_gold": gold is not None, "min_score": min_score}


def render_page(heading: str, data: Json) -> str:
    """The page as HTML, in ASCII.

    Args:
        heading: The page's title, plain text.
        data: As of ``page_data``, with ``facts`` and ``total``.
    """
    folder = files("redsm5.report") / "page"
    style = (folder / "evidence.css").read_text(encoding="utf-8")
    parts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    script = "\n".join(['const page = JSON.parse(document.getElementById("data").textContent);', *parts])
    template = Template((folder / "evidence.html").read_text(encoding="utf-8"))
    return template.substitute(
        policy=_policy(style, script),
        heading=html.escape(heading).encode("ascii", "xmlcharrefreplace").decode("ascii"),
        style=style,
        data=embedded_json(data),
        script=script,
    )


def embedded_json(data: Json) -> str:
    """JSON that can stand in a script element: ASCII, and without the characters that could end the element."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def criterion_marks(codes: Sequence[str]) -> list[str]:
    """A short mark per code, all different: initials of the first two words, or the first two letters (DM, AN)."""
    marks: list[str] = []
    for code in codes:
        words = re.findall(r"[^\W_]+", code.upper()) or ["?"]
        stem = words[0][0] + words[1][0] if len(words) > 1 else words[0][:2]
        numbered = (f"{stem[0]}{n}" for n in count(2))
        marks.append(next(mark for mark in chain([stem], numbered) if mark not in marks))
    return marks


def _post(post: PredictedPost, text: str, gold: GoldPost | None, thresholds: Sequence[float], min_score: float) -> Json:
    entry: Json = {
        "id": post.post_id,
        "text": text,
        "probabilities": [_number(p) for p in post.probabilities],
        "decided": [int(p >= threshold) for p, threshold in zip(post.probabilities, thresholds, strict=True)],
        "spans": [
            [_span(s, k, gold) for i, s in enumerate(ranked) if i == 0 or s.score > min_score]
            for k, ranked in enumerate(post.candidates)
        ],
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


def _policy(style: str, script: str) -> str:
    """Only our own style and script, by their hash, and no request at all; markup from strings is off too."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"

    return (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'"
    )
