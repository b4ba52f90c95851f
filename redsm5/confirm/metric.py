"""Which metrics a search can be confirmed by. Pure."""

from __future__ import annotations

from redsm5.errors import UserError
from redsm5.metrics.evaluation import CriteriaSummary, EvidenceScores, evidence_key

PREFIX = "val_"
"""Of metrics on the validation part; those of a fold have none."""
COMPUTED = frozenset(
    {*CriteriaSummary.model_fields, "auprc_macro", *(evidence_key(name) for name in EvidenceScores.model_fields)}
) - {"predicted_counts"}
"""What the evaluation of a fold has of what a search may optimise."""


def metric_of(objective: str) -> str:
    """The metric on a fold that belongs to an objective.

    Raises:
        UserError: The evaluation of a fold has none.
    """
    metric = objective.removeprefix(PREFIX)
    if metric not in COMPUTED:
        raise UserError(
            f"the search was for {objective}, which is not computed on folds, so that its trials cannot be confirmed; "
            f"search for a metric such as {PREFIX}f1_macro or {PREFIX}auprc_macro"
        )
    return metric
