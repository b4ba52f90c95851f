"""The spans that several models agree on. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit, logit

from redsm5.metrics.records import ScoredSpan
from redsm5.metrics.spans import IOU_MATCH, iou
from redsm5.modules.decoding import SpanDecoding, decode_spans

EPSILON = 1e-6
"""Agreement is kept this far from 0 and 1, so that scores are finite."""


@dataclass
class _Cluster:
    """Spans that mean the same; the first one is the surest."""

    spans: list[ScoredSpan] = field(default_factory=list)
    votes: list[float] = field(default_factory=list)
    models: set[int] = field(default_factory=set)


def agreed_spans(
    candidates: Sequence[Sequence[ScoredSpan]], weights: Sequence[float], needed: float, decoding: SpanDecoding
) -> tuple[ScoredSpan, ...]:
    """The spans of one post and criterion that the models have in common, the surest first.

    A model votes for each of its candidates with its weight times the sigmoid of the margin over null: what it would
    give the span against null alone. Candidates whose character IoU with a surer one is at least 0.5 are one span, one
    of each model; its ends are the medians of theirs, weighted by the votes, and its agreement is the sum of the votes,
    from 0 to 1. The score is how far, in logits, the agreement is above what is needed.

    Args:
        candidates: Of each of M models, best first, those below null too.
        weights: [M], they sum to 1.
        needed: Agreement at which a span beats null, above 0 and below 1.
        decoding: How many spans, and how much they may overlap.
    """
    votes = [
        (weight * float(expit(span.score)), model, span)
        for model, (spans, weight) in enumerate(zip(candidates, weights, strict=True))
        for span in spans
        if weight > 0
    ]
    clusters: list[_Cluster] = []
    for vote, model, span in sorted(votes, key=lambda v: (-v[0], v[2].start, v[2].end, v[1])):
        open_ones = [(iou(one.spans[0], span), one) for one in clusters if model not in one.models]
        shared, nearest = max(open_ones, key=lambda pair: pair[0], default=(0.0, None))
        if nearest is None or shared < IOU_MATCH:
            nearest = _Cluster()
            clusters.append(nearest)
        nearest.spans.append(span)
        nearest.votes.append(vote)
        nearest.models.add(model)
    return decode_spans([_agreed(one, needed) for one in clusters], decoding)


def _agreed(cluster: _Cluster, needed: float) -> ScoredSpan:
    agreement = float(np.clip(sum(cluster.votes), EPSILON, 1 - EPSILON))
    start = weighted_median([span.start for span in cluster.spans], cluster.votes)
    end = weighted_median([span.end for span in cluster.spans], cluster.votes)
    return ScoredSpan(start, end, float(logit(agreement) - logit(needed)))


def weighted_median(values: Sequence[int], weights: Sequence[float]) -> int:
    """The smallest value that half of the weight is not above.

    Of starts and ends with the same weights the first is below the second: more than half of the spans would have to
    end before they start.

    Args:
        values: At least one.
        weights: Positive, one each.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(np.asarray(weights)[order])
    return int(np.asarray(values)[order][np.searchsorted(reached, reached[-1] / 2)])
