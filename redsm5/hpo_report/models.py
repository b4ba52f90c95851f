"""All numbers of a report on a search. Its page, its Markdown and its JSON say these and no others."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from redsm5.metrics.evaluation import Frozen
from redsm5.report.study_models import EndState, StudyReport

SEARCH_SCHEMA_VERSION: Literal[1] = 1
"""Raised when a field changes its meaning or goes."""


class Importance(Frozen):
    """How much a parameter decides whether a trial is among the best tenth."""

    name: str = Field(description="Of the parameter, as in the space.")
    group: str = Field(description="Group of the space that it stands in.")
    importance: float = Field(ge=0, le=1, description="By PED-ANOVA; those of all parameters sum to 1.")
    active: float = Field(ge=0, le=1, description="Share of the trials in which its conditions held.")
    best: JsonValue = Field(description="What the best trial has; null where it is not active there.")


class Group(Frozen):
    """The same of a group of the space."""

    name: str = Field(description="Of the group.")
    importance: float = Field(ge=0, le=1, description="Sum over its parameters.")
    parameters: int = Field(ge=1, description="How many were compared.")


class Requirement(Frozen):
    """What a search is held to."""

    what: str = Field(description="In words.")
    required: str = Field(description="In words.")
    found: float | None = Field(description="The figure; null where there is none yet.")
    met: bool | None = Field(description="Whether it is met; null where there is no figure yet.")


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
    differs: dict[str, JsonValue] = Field(description="Settings in which the best trials differ; null where not set.")


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
    candidates: list[Candidate] = Field(description="The best trials, the best first.")
    same: dict[str, JsonValue] = Field(description="Settings that all of them share.")
    trials: list[TrialRow] = Field(description="All that have ended, by number.")
