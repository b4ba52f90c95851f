"""Predictions read back from JSON lines, as ``redsm5.run.predictions`` writes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redsm5.errors import UserError
from redsm5.metrics.records import PredictedPost, ScoredSpan


@dataclass(frozen=True)
class PredictionFile:
    """What a file of predictions holds, decisions as they were taken.

    Attributes:
        codes: Criteria in the order of the outputs.
        thresholds: What the probabilities were compared with.
        posts: In file order; candidates are the spans that beat null, and only those, but in the files of
            ``redsm5 confirm``, which hold all. Numbers are rounded.
        decisions: Per post, whether each criterion was decided positive.
    """

    codes: tuple[str, ...]
    thresholds: tuple[float, ...]
    posts: tuple[PredictedPost, ...]
    decisions: tuple[tuple[bool, ...], ...]


def read_predictions(path: Path, *, made_by: str) -> PredictionFile:
    """Read a file that has one line per post and criterion, the lines of a post together.

    Args:
        path: The file.
        made_by: The command that writes it, for the message where it is missing.

    Raises:
        UserError: It is missing, or a line is not a prediction, or the posts differ in their criteria.
    """
    try:
        with path.open(encoding="utf-8") as file:
            lines = [_line(path, i, text) for i, text in enumerate(file, start=1)]
    except OSError as error:
        raise UserError(f"cannot read the predictions {path}: {error.strerror}; run {made_by} first") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a file of predictions: it is not UTF-8; run {made_by} again") from None
    if not lines:
        raise UserError(f"{path} holds no predictions; run {made_by} again")
    grouped: dict[str, list[_Line]] = {}
    for line in lines:
        grouped.setdefault(line.post_id, []).append(line)
    first = next(iter(grouped.values()))
    criteria = list(dict.fromkeys((line.criterion, line.threshold) for line in first))
    for post_id, found in grouped.items():
        times = len(found) // len(criteria)
        if times > 1 and [(line.criterion, line.threshold) for line in found] == criteria * times:
            raise UserError(
                f"{path}: id {post_id} stands for {times} posts; make the ids unique and run {made_by} again"
            )
    shape = [(line.criterion, line.threshold) for line in first]
    codes = tuple(line.criterion for line in first)
    for post_id, found in grouped.items():
        if [(line.criterion, line.threshold) for line in found] != shape or len(set(codes)) != len(codes):
            raise UserError(
                f"{path}: post {post_id} has other criteria or thresholds than the first post, or one of them twice; "
                f"run {made_by} again"
            )
    return PredictionFile(
        codes=codes,
        thresholds=tuple(line.threshold for line in first),
        posts=tuple(
            PredictedPost(post_id, tuple(x.probability for x in found), tuple(x.spans for x in found))
            for post_id, found in grouped.items()
        ),
        decisions=tuple(tuple(x.decision for x in found) for found in grouped.values()),
    )


@dataclass(frozen=True)
class _Line:
    post_id: str
    criterion: str
    probability: float
    threshold: float
    decision: bool
    spans: tuple[ScoredSpan, ...]


def _line(path: Path, number: int, text: str) -> _Line:
    try:
        row: dict[str, Any] = json.loads(text)
        return _Line(
            post_id=str(row["post_id"]),
            criterion=str(row["criterion"]),
            probability=float(row["probability"]),
            threshold=float(row["threshold"]),
            decision=bool(row["decision"]),
            spans=tuple(ScoredSpan(int(s["start"]), int(s["end"]), float(s["score"])) for s in row["spans"]),
        )
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}, line {number}: not a prediction of redsm5; give a file that it wrote") from None
