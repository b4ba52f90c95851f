"""``ensemble.json`` of an exported ensemble: its members, how they are combined, and how it compares."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from redsm5.ensemble.combination import Combination
from redsm5.metrics.evaluation import Evaluation, Frozen, Interval

ENSEMBLE_FILE = "ensemble.json"
"""In the folder of an ensemble: what makes it one."""
FOLDER = "ensemble"
"""Of the study: where an ensemble is exported unless it was asked for elsewhere."""
ENSEMBLE_VERSION: Literal[2] = 2
"""Raised when older versions cannot read the folder any more."""
MAIN = "tuned_f1_macro"
"""The metric whose gains are told first."""
RANKING = "fold_auprc_macro"
"""How well posts are ranked within a fold, mean over folds: what is learned for each has a scale of its own there."""
METRICS = {
    MAIN: "macro F1",
    "f1_macro": "at .5",
    RANKING: "AUPRC",
    "hit_at_1": "hit@1",
    "end_to_end_evidence_char_f1": "chars",
}
"""Those that tables have, with their headings."""

Kind = Literal["single", "ensemble", "averaged"]


class Member(Frozen):
    """A model of the ensemble."""

    trial: int = Field(ge=0, description="Number of the trial in the search.")
    value: float = Field(description="The objective on the study's validation posts, as the search saw it.")
    encoder: str = Field(description="Its encoder.")
    weight: float = Field(ge=0, le=1, description="How much it counts; one of weight 0 is not exported.")
    folder: str | None = Field(description="The exported model, from the folder of the ensemble; null without.")
    sha256: str | None = Field(description="Of its manifest.json, which has those of its files.")


class Compared(Frozen):
    """One of what was compared on the validation posts of the study."""

    name: str = Field(description="In words.")
    kind: Kind = Field(description="single: a trial; ensemble; averaged: one model of the mean of weights.")
    trials: tuple[int, ...] = Field(description="The trials that it is made of, the best first.")
    weights: tuple[float, ...] = Field(description="How much each counts; of all posts.")
    scores: dict[str, float] = Field(
        description="Metrics. What is learned of validation posts (weights, ranks, agreement, thresholds) is learned "
        "of the other folds of them; so is the margin over null that the spans of a single model need. "
        "fold_auprc_macro: AUPRC within a fold, mean over the folds with a positive, then over criteria."
    )
    intervals: dict[str, Interval] = Field(description="Of the scores, by a bootstrap over authors.")
    gains: dict[str, float] = Field(description="Scores less those of the best single trial.")
    gain_intervals: dict[str, Interval] = Field(description="Of these, by a paired bootstrap over authors.")


class Ensemble(Frozen):
    """The whole of ``ensemble.json``."""

    ensemble_version: Literal[2] = Field(default=ENSEMBLE_VERSION, description="Version of the folder's form.")
    created: AwareDatetime = Field(description="When it was made, with time zone.")
    redsm5: str = Field(description="Version of redsm5 that wrote it.")
    study: str = Field(description="Name of the study.")
    corpus_sha256: str = Field(description="Hash of the corpus.")
    objective: str = Field(description="The metric that the search optimised.")
    direction: Literal["minimize", "maximize"] = Field(description="Which values are better.")
    trials: int = Field(ge=1, description="Trials that the search had ended.")
    posts: int = Field(ge=1, description="Validation posts.")
    authors: int = Field(ge=1, description="Their authors: what the bootstrap resamples.")
    folds: int = Field(ge=2, description="Folds of the validation posts for the comparison.")
    level: float = Field(gt=0, lt=1, description="Coverage of the intervals.")
    resamples: int = Field(ge=1, description="Of the bootstrap.")
    members: tuple[Member, ...] = Field(description="The best first.")
    chosen: str = Field(description="Which of what was compared this is, by its name.")
    combination: Combination = Field(description="How the exported members are combined, in the order of members.")
    thresholds: dict[str, float] = Field(description="Per criterion, from all validation posts.")
    evaluation: Evaluation = Field(
        description="Of it on the validation posts, as in compared: decided and bound by what the other folds say. The "
        "thresholds that stand in it are those from all posts; AUROC and AUPRC are means of the folds."
    )
    compared: tuple[Compared, ...] = Field(description="Singles, ensembles, averages of weights.")
