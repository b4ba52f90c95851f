"""The cheap part of the metrics, logged after every epoch under the keys of ``Evaluation.scalars``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from redsm5.metrics import criteria as crit
from redsm5.metrics import evidence as ev
from redsm5.metrics.evaluation import evidence_key
from redsm5.metrics.paired import pair_up
from redsm5.metrics.records import GoldPost, PredictedPost

EPOCH_EVIDENCE = (
    "exact_match",
    "token_f1",
    "char_f1",
    "iou_f1",
    "sentence_f1",
    "hit_at_1",
    "mrr",
    "null_accuracy",
    "hard_negative_rate",
)
"""Fields of ``EvidenceScores`` that are logged per epoch, given the gold criteria."""

EPOCH_KEYS = (
    "f1_macro",
    "f1_micro",
    "f1_weighted",
    "exact_match",
    "auprc_macro",
    *(evidence_key(name) for name in EPOCH_EVIDENCE),
)
"""What ``epoch_metrics`` gives: with ``val_`` before them the names that a monitor can take."""


def epoch_metrics(
    gold: Sequence[GoldPost], predicted: Sequence[PredictedPost], codes: tuple[str, ...]
) -> dict[str, float]:
    """Metrics at threshold 0.5 and of evidence given the gold criteria.

    Same definitions as ``evaluate``, but a value that is undefined (nothing to score) is 0.0, so that the keys of every
    epoch are the same and a monitor never sees NaN.

    Args:
        gold: The posts of the validation part, at least one.
        predicted: Exactly one prediction per post, in any order.
        codes: Codes of the criteria.

    Returns:
        The values by ``EPOCH_KEYS``.

    Raises:
        ValueError: Records and codes do not fit each other.
        UserError: A prediction is not a number.
    """
    paired = pair_up(gold, predicted, criteria=len(codes))
    decisions = crit.decide(paired.probabilities)
    totals = crit.counts(paired.labels, decisions).sum(0)
    evidence = ev.evidence_scores(ev.given_gold(paired).sum((0, 1)))
    values = {
        "f1_macro": crit.macro_f1(totals),
        "f1_micro": crit.micro_f1(totals),
        "f1_weighted": crit.weighted_f1(totals),
        "exact_match": crit.exact_match(paired.labels, decisions),
        "auprc_macro": crit.macro_average_precision(paired.labels, paired.probabilities)[0],
        **{evidence_key(name): evidence[name] for name in EPOCH_EVIDENCE},
    }
    return {key: float(np.nan_to_num(value)) for key, value in values.items()}
