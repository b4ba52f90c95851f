"""A confirmation that never ran."""

from datetime import UTC, datetime

from redsm5.confirm.models import Candidate, Confirmation, Difference
from redsm5.metrics.evaluation import Interval


def candidate(trial, rank, search_value, mean=None, ends=None, **changes):
    facts = {
        "trial": trial, "rank": rank, "encoder": "some/encoder", "search_value": search_value, "failed": [],
        "mean": mean, "deviation": None, "interval": None if ends is None else Interval(low=ends[0], high=ends[1]),
        "search_difference": None if mean is None else search_value - mean, "pooled": None, "config_sha256": "c",
        "pooled_value": None, "unselected_value": None, "refits": 0 if mean is None else 15,
    }  # fmt: skip
    return Candidate(**(facts | changes))


def confirmation():
    """Three candidates: the second of the search is the best, and one was not confirmed."""
    return Confirmation(
        created=datetime(2026, 1, 3, tzinfo=UTC), redsm5="0.1.0", study="s", corpus_sha256="0" * 64,
        split_sha256="1" * 64, objective="val_f1_macro", direction="maximize", trials=60, folds=5, seeds=[1, 2, 3],
        posts=900, authors=70, training_posts=700, refit_training_posts=560.0, test_to_training=0.3,
        level=0.95, resamples=1000, best=4,
        candidates=[
            candidate(4, 2, 0.75, 0.7, (0.6, 0.85)),
            candidate(2, 1, 0.8, 0.65, (0.6, 0.7)),
            candidate(9, 3, 0.7, failed=["seed 1, fold 0: diverged"]),
        ],
        differences=[
            Difference(
                trial=4, other=2, refits=15, difference=0.05, interval=Interval(low=-0.01, high=0.12), p_value=0.1,
                p_holm=0.2, pooled_difference=0.04, pooled_interval=Interval(low=0.01, high=0.07),
                pooled_p_value=0.02, pooled_p_holm=0.04,
            ),
        ],
        refits=[], seconds=100.0,
    )  # fmt: skip
