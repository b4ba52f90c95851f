"""All numbers of a report on a search. Its page, its Markdown and its JSON say these and no others."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from redsm5.ensemble.models import Kind
from redsm5.metrics.evaluation import Frozen, Interval
from redsm5.report.study_models import EndState, StudyReport

SEARCH_SCHEMA_VERSION: Literal[1] = 1
"""Raised when a field changes its meaning or goes."""
SEARCH_FILE = "search.json"
"""The report in the folder of the study, for model cards and other programs."""


class Domain(Frozen):
    """What a parameter can be: one of a few values, or a number of a range."""

    choices: list[JsonValue] = Field(description="All values, in their order; empty for a range.")
    low: float = Field(default=0.0, description="Of a range: the least.")
    high: float = Field(default=1.0, description="The largest.")
    log: bool = Field(default=False, description="Whether it is drawn by its logarithm.")
    whole: bool = Field(default=False, description="Whether only whole numbers are drawn.")


class Importance(Frozen):
    """How much a parameter decides whether a trial is among the best tenth."""

    name: str = Field(description="Of the parameter, as in the space.")
    group: str = Field(description="Group of the space that it stands in.")
    importance: float = Field(ge=0, le=1, description="By PED-ANOVA; those of all compared parameters sum to 1.")
    floor: float = Field(ge=0, description="What it would come to by chance; above it, it is named.")
    active: float = Field(ge=0, le=1, description="Share of the trials in which its conditions held.")
    best: JsonValue = Field(description="What the best trial has; null where it is not active there.")

    @property
    def above(self) -> bool:
        """Whether it is more than chance."""
        return self.importance > self.floor


class Group(Frozen):
    """The same of a group of the space."""

    name: str = Field(description="Of the group.")
    importance: float = Field(ge=0, le=1, description="Sum over its parameters of what is above their floors.")
    parameters: int = Field(ge=1, description="How many were compared.")


class Requirement(Frozen):
    """What a search is held to."""

    what: str = Field(description="In words.")
    required: str = Field(description="In words.")
    found: float | None = Field(description="The figure; null where there is none yet.")
    met: bool | None = Field(
        description="Whether it is met, so far while trials are to come; null where it cannot be said."
    )


class TrialRow(Frozen):
    """A trial that has ended."""

    trial: int = Field(ge=0, description="Number within the budget.")
    state: EndState = Field(description="COMPLETE, PRUNED, or FAIL.")
    reason: str = Field(description="Why it failed; empty otherwise.")
    value: float | None = Field(description="Best value of the objective on the validation part.")
    best: float | None = Field(description="Best value of the complete trials up to this one.")
    objectives: dict[str, float] = Field(description="Values of all objectives; empty where it is not complete.")
    epochs: int = Field(ge=0, description="Epochs that ended.")
    stopped_early: bool = Field(description="Whether early stopping ended it.")
    curve: list[tuple[int, float]] = Field(description="Epoch, and the metric that the pruner compared.")
    ended: AwareDatetime = Field(description="When.")
    seconds: float = Field(ge=0, description="Of all its fits.")
    memory_gb: float | None = Field(description="Peak memory in 2^30 bytes: of the GPU, else of the process.")
    params: dict[str, JsonValue] = Field(description="What was drawn.")


class Candidate(Frozen):
    """One of the best trials, and what sets it apart from the others."""

    trial: int = Field(ge=0, description="Number within the budget.")
    value: float = Field(description="Best value of the objective on the validation part.")
    objectives: dict[str, float] = Field(description="Values of all objectives.")
    differs: dict[str, JsonValue] = Field(description="Settings in which the best trials differ; null where not set.")


class Storage(Frozen):
    """Bytes of the folder of the study."""

    peak: int = Field(ge=0, description="The most that the search took in it, as seen after each trial.")
    now: int = Field(ge=0, description="What it takes now, with all that was made after the search.")
    kinds: dict[str, int] = Field(description="The same by what is stored.")


class ConfirmedTrial(Frozen):
    """One of the best trials, trained again."""

    trial: int = Field(ge=0, description="Number within the budget.")
    rank: int = Field(ge=1, description="In the search.")
    search_value: float = Field(description="The objective on the validation part, as the search saw it.")
    mean: float | None = Field(description="Its mean over the refits; null where the trial was not confirmed.")
    interval: Interval | None = Field(description="Of the mean.")
    search_difference: float | None = Field(description="Its value in the search less the mean.")
    failed: list[str] = Field(description="Why refits failed.")


class ConfirmedDifference(Frozen):
    """The confirmed best trial and another one."""

    trial: int = Field(ge=0, description="The confirmed best one.")
    other: int = Field(ge=0, description="Another one.")
    difference: float = Field(description="Metric of the first less that of the other.")
    interval: Interval | None = Field(description="Of the difference: corrected resampled t-test.")
    p_holm: float | None = Field(ge=0, le=1, description="Of the same test, corrected for the number of pairs (Holm).")
    pooled_difference: float | None = Field(
        description="On the posts of all folds together, that each training had not seen; null where it is undefined."
    )
    pooled_interval: Interval | None = Field(description="Of this difference: paired bootstrap over authors.")
    pooled_p_holm: float | None = Field(
        ge=0, le=1, description="Of the paired bootstrap, corrected for the number of pairs (Holm)."
    )


class Confirmed(Frozen):
    """What redsm5 confirm found; confirm.json has the whole."""

    created: AwareDatetime = Field(description="When, with time zone.")
    trials: int = Field(ge=0, description="Trials that the search had ended by then.")
    folds: int = Field(ge=1, description="Folds of the training and validation posts.")
    seeds: int = Field(ge=1, description="Trainings of each fold.")
    posts: int = Field(ge=1, description="Posts of the folds.")
    authors: int = Field(ge=1, description="Their authors.")
    level: float = Field(gt=0, lt=1, description="Coverage of the intervals.")
    best: int | None = Field(description="The candidate with the best mean; null where none was confirmed.")
    candidates: list[ConfirmedTrial] = Field(description="The best by their means first.")
    differences: list[ConfirmedDifference] = Field(description="Of the best one to others.")


class CombinedArm(Frozen):
    """One of what redsm5 ensemble compared."""

    name: str = Field(description="In words.")
    kind: Kind = Field(description="single: a trial; ensemble; averaged: one model of the mean of weights.")
    trials: tuple[int, ...] = Field(description="The trials that it is made of, the best first.")
    scores: dict[str, float] = Field(description="Metrics.")
    gain: float | None = Field(description="Macro F1 at tuned thresholds less that of the best single trial.")
    gain_interval: Interval | None = Field(description="Of this, by a paired bootstrap over authors.")


class Combined(Frozen):
    """What redsm5 ensemble found; ensemble.json in the folder of the ensemble has the whole."""

    created: AwareDatetime = Field(description="When, with time zone.")
    trials: int = Field(ge=1, description="Trials that the search had ended by then.")
    posts: int = Field(ge=1, description="Validation posts.")
    authors: int = Field(ge=1, description="Their authors.")
    folds: int = Field(ge=2, description="Folds of the validation posts for the comparison.")
    level: float = Field(gt=0, lt=1, description="Coverage of the intervals.")
    chosen: str = Field(description="Which of what was compared was exported, by its name.")
    compared: list[CombinedArm] = Field(description="Singles, the best first; ensembles; averages of weights.")


class SearchReport(Frozen):
    """The whole."""

    schema_version: Literal[1] = Field(default=SEARCH_SCHEMA_VERSION, description="Version of this schema.")
    created: AwareDatetime = Field(description="When the report was made, with time zone.")
    study: StudyReport = Field(description="The same as study.json.")
    pruned_by: str = Field(description="The metric that the pruner compared.")
    summary: list[str] = Field(description="What was found, in sentences.")
    requirements: list[Requirement] = Field(description="What a search is held to, and whether this one meets it.")
    importances: list[Importance] = Field(description="Of all parameters that can be compared, the largest first.")
    groups: list[Group] = Field(description="Of the groups of the space, the largest first.")
    domains: dict[str, Domain] = Field(description="What each parameter of the space can be.")
    candidates: list[Candidate] = Field(description="The best trials, the best first.")
    same: dict[str, JsonValue] = Field(description="Settings that all of them share.")
    confirmed: Confirmed | None = Field(description="What redsm5 confirm found; null where it was not run.")
    combined: Combined | None = Field(description="What redsm5 ensemble made; null where the study's folder has none.")
    storage: Storage = Field(description="Of the folder of the study.")
    trials: list[TrialRow] = Field(description="All that have ended, by number.")
