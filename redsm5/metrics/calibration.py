"""How far probabilities can be taken at their word: expected calibration error and Brier score."""

from __future__ import annotations

import numpy as np

from redsm5.metrics.paired import BoolArray, FloatArray

BINS = 15
"""Equal-width bins of the expected calibration error."""


def expected_calibration_error(labels: BoolArray, probabilities: FloatArray, bins: int = BINS) -> float:
    """Mean over posts of |mean probability - share of positives| in the post's bin (Naeini et al. 2015, binary form).

    Bins are [i / bins, (i + 1) / bins), the last one closed; empty bins do not count.

    Args:
        labels: [N], N > 0.
        probabilities: [N], of the positive class.
        bins: Number of equal-width bins.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    index = np.digitize(probabilities, edges)
    gaps = np.bincount(index, weights=probabilities - labels, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def brier_score(labels: BoolArray, probabilities: FloatArray) -> float:
    """Mean squared difference of probability and outcome (Brier 1950, the one-class form: 0 to 1).

    Args:
        labels: [N], N > 0.
        probabilities: [N], of the positive class.
    """
    return float(np.mean((probabilities - labels) ** 2))
