"""The 10-class variant with NO_SYMPTOMS, and the published ReDSM5 baselines that are scored on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redsm5.metrics.paired import BoolArray

NO_SYMPTOMS = "NO_SYMPTOMS"
"""The tenth class: a post that gives evidence of no criterion."""

REDSM5_CODES = frozenset(
    {
        "DEPRESSED_MOOD",
        "ANHEDONIA",
        "APPETITE_CHANGE",
        "SLEEP_ISSUES",
        "PSYCHOMOTOR",
        "FATIGUE",
        "WORTHLESSNESS",
        "COGNITIVE_ISSUES",
        "SUICIDAL_THOUGHTS",
    }
)
"""The published numbers are shown only beside these criteria."""


@dataclass(frozen=True, slots=True)
class PublishedBaseline:
    """A row of the corpus paper: F1 over ten classes, on the authors' own split."""

    name: str
    f1_micro: float
    f1_macro: float


PUBLISHED = (
    PublishedBaseline("SVM", 0.39, 0.28),
    PublishedBaseline("CNN", 0.25, 0.19),
    PublishedBaseline("BERT", 0.51, 0.36),
)
"""Bao, Pérez and Parapar 2025, ReDSM5: A Reddit Dataset for DSM-5 Depression Detection, arXiv 2508.03399."""


def with_no_symptoms(decisions: BoolArray) -> BoolArray:
    """Append the column that is true where no criterion is.

    Args:
        decisions: [N, K], gold labels or predictions.

    Returns:
        [N, K + 1].
    """
    return np.concatenate([decisions, ~decisions.any(axis=1, keepdims=True)], axis=1)


def published_baselines(codes: tuple[str, ...]) -> tuple[PublishedBaseline, ...]:
    """The published rows, or none where the criteria are not the nine of ReDSM5."""
    return PUBLISHED if set(codes) == REDSM5_CODES else ()
