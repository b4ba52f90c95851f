"""Predictions as JSON lines: ids, probabilities, decisions and offsets; never text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from redsm5.metrics.records import PredictedPost


def prediction_lines(
    predicted: Sequence[PredictedPost], codes: Sequence[str], thresholds: Sequence[float], *, min_score: float = 0.0
) -> str:
    """One line per post and criterion, in their order."""
    rows = (row for post in predicted for row in prediction_rows(post, codes, thresholds, min_score=min_score))
    return "".join(json.dumps(row) + "\n" for row in rows)


def prediction_rows(
    post: PredictedPost, codes: Sequence[str], thresholds: Sequence[float], *, min_score: float = 0.0
) -> list[dict[str, Any]]:
    """What is predicted of one post.

    Args:
        post: The prediction.
        codes: Criteria in the order of the outputs.
        thresholds: A criterion is decided positive at or above its threshold.
        min_score: Spans at or below this margin over the null option are left out.
    """
    return [
        {
            "post_id": post.post_id,
            "criterion": code,
            "probability": round(post.probabilities[k], 6),
            "threshold": round(thresholds[k], 6),
            "decision": post.probabilities[k] >= thresholds[k],
            "spans": [
                {"start": s.start, "end": s.end, "score": round(s.score, 4)}
                for s in post.candidates[k]
                if s.score > min_score
            ],
        }
        for k, code in enumerate(codes)
    ]
