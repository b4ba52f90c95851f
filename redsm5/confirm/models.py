"""``confirm.json``: what is left of the best trials of a search when they are trained again."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from redsm5.metrics.evaluation import Evaluation, Frozen, Interval
from redsm5.words import counted

CONFIRM_SCHEMA_VERSION: Literal[3] = 3
"""Raised when a field changes its meaning or goes."""


class Refit(Frozen):
    """A candidate trained once more."""

    trial: int = Field(ge=0, description="Number of the trial in the search.")
    seed: int = Field(ge=0, description="Of the training, and of the folds.")
    fold: int = Field(ge=0, description="Which fold was tested.")
    failed: str = Field(description="Why the training failed; empty where it did not.")
    value: float | None = Field(description="The objective's metric on the fold; null where it is undefined.")
    val_value: float | None = Field(description="The same on the posts that chose the epoch.")
    best_epoch: int | None = Field(description="The epoch that they chose.")
    epochs: int = Field(ge=0, description="Epochs trained.")
    seconds: float = Field(ge=0, description="Of the training.")
    halvings: int = Field(ge=0, description="How often memory was not enough and the batch was halved.")


class Calibration(Frozen):
    """One criterion: how to decide, and how to read its probability, from out-of-fold predictions."""

    code: str = Field(description="Code of the criterion.")
    support: int = Field(ge=0, description="Posts with it among those of the folds.")
    threshold: float = Field(ge=0, le=1, description="For the probability as the model gives it; mean over the seeds.")
    slope: float = Field(ge=0, description="The calibrated probability is sigmoid(slope * logit(p) + offset).")
    offset: float = Field(description="See slope.")


class Pooled(Frozen):
    """The predictions of all folds together: every post once, by a model that has not seen it; mean over the seeds."""

    scores: dict[str, float] = Field(description="By the keys of the metrics file; tuned_: see thresholds.")
    intervals: dict[str, Interval] = Field(description="Bootstrap intervals over authors, by the same keys.")
    ece_macro: float = Field(description="Expected calibration error, mean over criteria.")
    brier_macro: float = Field(description="Brier score, mean over criteria.")
    calibrated_ece_macro: float = Field(description="The same of probabilities calibrated on the other folds.")
    calibrated_brier_macro: float = Field(description="Likewise.")
    evaluation: Evaluation = Field(
        description="Of the first seed, in full, at threshold 0.5; AUROC and AUPRC are means of the folds."
    )
    thresholds: list[Calibration] = Field(description="From all folds, for the model that is shipped.")


class Candidate(Frozen):
    """One of the best trials of the search, confirmed or not."""

    trial: int = Field(ge=0, description="Number of the trial in the search.")
    rank: int = Field(ge=1, description="In the search.")
    encoder: str = Field(description="Its encoder.")
    config_sha256: str = Field(description="Hash of its config, but where files lie: another trial has another one.")
    search_value: float = Field(description="The objective on the study's validation posts, as the search saw it.")
    failed: list[str] = Field(description="Why refits failed; a candidate with one of them is not confirmed.")
    refits: int = Field(ge=0, description="Refits on whose fold the objective's metric is defined.")
    mean: float | None = Field(description="The metric on the folds, mean over these refits.")
    deviation: float | None = Field(description="Standard deviation over these refits.")
    interval: Interval | None = Field(description="Of the mean: corrected resampled t-test (Nadeau and Bengio 2003).")
    search_difference: float | None = Field(
        description="Difference to the search: its value less the mean, above 0 where it is better in the search. What "
        "was chosen for its luck and what was trained on fewer posts are both in it."
    )
    pooled_value: float | None = Field(
        description="The metric once on the predictions of all folds together, or of a metric that ranks posts (AUPRC) "
        "the mean of the folds: models of different folds need not have the same scale. Mean over the seeds."
    )
    unselected_value: float | None = Field(
        description="The same on the study's training posts alone: they took no part in choosing the trial."
    )
    pooled: Pooled | None = Field(description="Of its predictions; null where it is not confirmed.")


class Difference(Frozen):
    """Two candidates on the same posts, folds and seeds: the first is the best by its mean over the refits."""

    trial: int = Field(ge=0, description="The confirmed best one.")
    other: int = Field(ge=0, description="Another one.")
    refits: int = Field(ge=1, description="Pairs of refits with the same seed and fold.")
    difference: float = Field(description="Metric of the first less that of the other, mean over these pairs.")
    interval: Interval | None = Field(
        description="Of it: corrected resampled t-test of the differences (Nadeau and Bengio 2003)."
    )
    p_value: float | None = Field(ge=0, le=1, description="Two-sided, of the same test.")
    p_holm: float | None = Field(
        ge=0, le=1, description="The same, corrected for the number of pairs (Holm 1979), not for choosing the first."
    )
    pooled_difference: float | None = Field(
        description="Difference of the pooled values of the metric; mean over the seeds. Null, as "
        "are the next ones, where the metric has no bootstrap."
    )
    pooled_interval: Interval | None = Field(
        description="Paired bootstrap over authors. The trained models are taken as given: how much another training "
        "would differ is not in it."
    )
    pooled_p_value: float | None = Field(ge=0, le=1, description="Two-sided, of the same bootstrap.")
    pooled_p_holm: float | None = Field(ge=0, le=1, description="The same, corrected for the number of pairs.")


class Confirmation(Frozen):
    """The whole of ``confirm.json``."""

    schema_version: Literal[3] = Field(default=CONFIRM_SCHEMA_VERSION, description="Version of this schema.")
    created: AwareDatetime = Field(description="When it was made, with time zone.")
    redsm5: str = Field(description="Version of redsm5.")
    study: str = Field(description="Name of the study.")
    corpus_sha256: str = Field(description="Hash of the corpus.")
    split_sha256: str = Field(description="Hash of the study's split: of the ids of each part.")
    objective: str = Field(description="The metric that was optimised.")
    direction: Literal["minimize", "maximize"] = Field(description="Which values are better.")
    trials: int = Field(ge=1, description="Trials that the search had ended: among so many its best was the best.")
    folds: int = Field(ge=2, description="Folds of the training and validation posts.")
    seeds: list[int] = Field(description="Of trainings and folds; the search had another one.")
    posts: int = Field(ge=1, description="Training and validation posts of the study.")
    authors: int = Field(ge=1, description="Their authors: what the bootstrap resamples.")
    training_posts: int = Field(ge=1, description="Of them those that the trials of the search were trained on.")
    refit_training_posts: float = Field(
        gt=0, description="Posts that a refit is trained on, mean over seeds and folds."
    )
    test_to_training: float = Field(
        gt=0, description="Posts tested to posts trained on, over all folds: in the variance of the corrected t-test."
    )
    level: float = Field(gt=0, lt=1, description="Coverage of all intervals.")
    resamples: int = Field(ge=1, description="Of the bootstrap.")
    best: int | None = Field(description="The candidate with the best mean; null where none was confirmed.")
    candidates: list[Candidate] = Field(description="The best by their means first, failed ones last.")
    differences: list[Difference] = Field(description="Of the best one to the other confirmed ones.")
    refits: list[Refit] = Field(description="All of them.")
    seconds: float = Field(ge=0, description="Of all refits.")

    @property
    def design(self) -> str:
        """What each candidate was trained on, in words: 3 seeds x 5 folds."""
        return f"{counted(len(self.seeds), 'seed')} x {counted(self.folds, 'fold')}"

    @property
    def metric(self) -> str:
        """The objective on a fold."""
        return self.objective.removeprefix("val_")
