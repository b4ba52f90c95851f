"""Curves of one criterion: precision over recall, and how often a probability comes true."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redsm5.metrics.calibration import BINS
from redsm5.metrics.paired import BoolArray, FloatArray


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall at every distinct probability, from the highest down: recall never falls.

    Attributes:
        precision: [M].
        recall: [M]; the last one is 1.
        thresholds: [M], the probability at or above which a post counts as predicted.
        prevalence: Share of positives: the precision of a random order.
    """

    precision: FloatArray
    recall: FloatArray
    thresholds: FloatArray
    prevalence: float

    def precision_at(self, recall: float) -> float:
        """The best precision among the points with at least this recall."""
        return float(self.precision[self.recall >= recall - 1e-12].max())


def precision_recall(labels: BoolArray, probabilities: FloatArray) -> PrecisionRecall | None:
    """The points of the precision-recall curve; None without a positive, where recall is undefined.

    Posts with tied probabilities enter together, as in ``average_precision``, whose value is the area under the steps
    through these points. Points above the highest positive are kept (precision 0, recall 0).

    Args:
        labels: [N].
        probabilities: [N].
    """
    if not labels.any():
        return None
    order = np.argsort(-probabilities, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(probabilities[order], append=-np.inf))
    tp = np.cumsum(labels[order])[last_of_tie]
    return PrecisionRecall(
        precision=tp / (last_of_tie + 1),
        recall=tp / labels.sum(),
        thresholds=probabilities[order][last_of_tie],
        prevalence=float(labels.mean()),
    )


@dataclass(frozen=True)
class ReliabilityBin:
    """The posts whose probability lies in one bin.

    Attributes:
        low: Lower edge, inclusive.
        high: Upper edge, exclusive but for the last bin.
        count: Posts in it.
        mean_probability: Their mean probability.
        positive_share: The share of them that is positive.
    """

    low: float
    high: float
    count: int
    mean_probability: float
    positive_share: float


def reliability(labels: BoolArray, probabilities: FloatArray, bins: int = BINS) -> tuple[ReliabilityBin, ...]:
    """The reliability diagram (DeGroot and Fienberg 1983) over the bins of the expected calibration error.

    Args:
        labels: [N].
        probabilities: [N].
        bins: Number of equal-width bins.

    Returns:
        The bins that hold posts, lowest first; |mean probability - share| weighted by count / N sums up to the
        expected calibration error.
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.digitize(probabilities, edges[1:-1])
    found = []
    for b in np.unique(index):
        inside = index == b
        found.append(
            ReliabilityBin(
                low=float(edges[b]),
                high=float(edges[b + 1]),
                count=int(inside.sum()),
                mean_probability=float(probabilities[inside].mean()),
                positive_share=float(labels[inside].mean()),
            )
        )
    return tuple(found)
