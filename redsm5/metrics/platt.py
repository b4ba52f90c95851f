"""Platt scaling: how a model's probabilities are to be read, learned from predictions on posts it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit

from redsm5.metrics.paired import BoolArray, FloatArray

_CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1, so that logits are finite."""


@dataclass(frozen=True)
class Platt:
    """The calibrated probability is sigmoid(slope * logit(p) + offset)."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, probabilities: FloatArray) -> FloatArray:
        """Calibrated probabilities, of the same shape."""
        clipped = np.clip(probabilities, _CLIP, 1 - _CLIP)
        return np.asarray(expit(self.slope * logit(clipped) + self.offset))


def fit_platt(labels: BoolArray, probabilities: FloatArray) -> Platt:
    """Fit one criterion by the cross-entropy to Platt's targets.

    Targets are (n+ + 1) / (n+ + 2) and 1 / (n- + 2) in place of 1 and 0 (Platt 1999), so that few positives, or
    perfectly separated ones, do not make probabilities extreme. The slope is not below 0: the order of posts stays.

    Args:
        labels: [N].
        probabilities: [N].

    Returns:
        No change where a class is missing.
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if not positives or not negatives:
        return Platt()
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    clipped = np.clip(probabilities, _CLIP, 1 - _CLIP)
    logits = logit(clipped)

    def loss(at: FloatArray) -> tuple[float, FloatArray]:
        scores = at[0] * logits + at[1]
        error = expit(scores) - targets
        value = np.logaddexp(0, scores) - targets * scores
        return float(value.mean()), np.array([(error * logits).mean(), error.mean()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)])
    return Platt(float(found.x[0]), float(found.x[1]))
