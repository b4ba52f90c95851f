"""``report.json`` of a trial and ``study.json``: what a search did and found, without text of posts."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field, JsonValue

from redsm5.metrics.evaluation import Evaluation, Frozen

STUDY_SCHEMA_VERSION: Literal[1] = 1
"""Raised when a field of either file changes its meaning or goes."""

EndState = Literal["COMPLETE", "PRUNED", "FAIL"]


class TrialSeconds(Frozen):
    """Where the time of a trial went, in seconds."""

    sampling: float = Field(
        ge=0, description="The sampler, what it reads from the database, and storing what it drew; of the last attempt."
    )
    pretraining: float = Field(ge=0, description="Making stages of pretraining that were not there; of the last fit.")
    start: float = Field(ge=0, description="From asking for a process to the first batch, but that; of the last fit.")
    fits: float = Field(
        ge=0,
        description="All of its fits, those of lost attempts up to the last epoch included that was gone on from: "
        "pretraining, start, training, evaluation.",
    )
    storage: float = Field(
        ge=0,
        description="All else that its worker did beside the fits, of the last attempt: claiming it, its config and "
        "what fits into memory, storing its epochs and asking the pruner, its files; and what the trial before it in "
        "that worker left to do: its result, reading the study, the disk. Not waiting for a trial, nor beats while a "
        "fit runs.",
    )


class TrialReport(Frozen):
    """``report.json`` of a trial, whatever its end; the run's own report lies in the folder of its attempt."""

    schema_version: Literal[1] = Field(default=STUDY_SCHEMA_VERSION, description="Version of this schema.")
    created: AwareDatetime = Field(description="When the trial ended, with time zone.")
    study: str = Field(description="Name of the study.")
    trial: int = Field(ge=0, description="Number of the trial within the budget, from 0.")
    attempts: int = Field(ge=1, description="How often it was begun: more than once where a worker was gone.")
    state: EndState = Field(description="COMPLETE, PRUNED, or FAIL.")
    reason: str = Field(description="Why it failed, the same words for the same cause; empty otherwise.")
    detail: str = Field(description="The same as a sentence.")
    objective: str = Field(description="The metric that the search optimises.")
    value: float | None = Field(description="Its best value on the validation part; null where no epoch ended.")
    objectives: dict[str, float] = Field(
        description="Values of all objectives, the main one first; empty where it was not trained to its end."
    )
    best_epoch: int | None = Field(description="Epoch of that value, from 0.")
    epochs: int = Field(ge=0, description="Epochs that ended.")
    stopped_early: bool = Field(description="Whether early stopping ended it.")
    pruned_at: int | None = Field(description="Epoch after which it was pruned; null where it was not.")
    metrics: dict[str, float] = Field(description="Metrics of the best epoch, on the validation part.")
    params: dict[str, JsonValue] = Field(description="What was drawn, by the names of the space.")
    settings: dict[str, JsonValue] = Field(description="What that set in the config, by dotted key.")
    notes: dict[str, JsonValue] = Field(description="What the batch became, and why where it is not what was drawn.")
    batches: list[dict[str, int]] = Field(description="Batches after each time that memory was not enough.")
    seconds: TrialSeconds = Field(description="Where its time went.")
    memory_gb: float | None = Field(
        description="Peak memory in 2^30 bytes, of all attempts that it went on from: of the GPU, else of the process."
    )
    worker: str = Field(description="Host and process that ended it.")
    run: str = Field(description="Folder of the run, from the folder of the study.")

    @property
    def host(self) -> str:
        """Where it ended, and where its folder is, unless that is shared."""
        return self.worker.partition(":")[0]


class Counts(Frozen):
    """Trials of a study by their state."""

    complete: int = Field(ge=0, description="Trained to their end.")
    pruned: int = Field(ge=0, description="Ended by the pruner.")
    failed: int = Field(ge=0, description="Failed.")
    running: int = Field(ge=0, description="At work, or waiting to be taken up again.")
    lost_attempts: int = Field(ge=0, description="Attempts whose worker was gone; they are in no other count.")


class Shares(Frozen):
    """How much work pruning and early stopping saved, as shares of the ended trials that did not fail."""

    pruned: float = Field(ge=0, le=1, description="Pruned at all.")
    pruned_by_epoch_5: float = Field(ge=0, le=1, description="Pruned in one of the first five epochs.")
    stopped_early: float = Field(ge=0, le=1, description="Ended by early stopping.")
    stopped_early_of_complete: float = Field(ge=0, le=1, description="The same, as a share of those not pruned.")


class BestTrial(Frozen):
    """A trial with the best value."""

    trial: int = Field(ge=0, description="Number within the budget.")
    value: float = Field(description="Best value of the objective on the validation part.")
    val_loss: float | None = Field(description="Validation loss of that epoch: decides between equal values.")
    params: dict[str, JsonValue] = Field(description="What was drawn.")
    config: dict[str, JsonValue] = Field(description="The config, as it ran.")
    run: str = Field(description="Folder of the run, from the folder of the study.")
    checkpoint: str | None = Field(description="Its weights, from the folder of the study.")


class ObjectiveInfo(Frozen):
    """One of what was optimised."""

    name: str = Field(description="Validation metric, peak_memory (2^30 bytes) or train_time (seconds).")
    direction: Literal["minimize", "maximize"] = Field(description="Which values are better.")


class FrontTrial(Frozen):
    """A trial than which no other is better in one objective and as good in all others."""

    trial: int = Field(ge=0, description="Number within the budget.")
    objectives: dict[str, float] = Field(description="Its values.")
    params: dict[str, JsonValue] = Field(description="What was drawn.")


class TestResult(Frozen):
    """The one look at the test part."""

    trial: int = Field(ge=0, description="Trial that was evaluated.")
    evaluation: Evaluation = Field(description="Numbers on the test part, with intervals.")
    value: float | None = Field(description="The objective's metric there.")
    optimism: float | None = Field(description="Best validation value less the one on the test part.")


class StudyReport(Frozen):
    """The whole of ``study.json``."""

    schema_version: Literal[1] = Field(default=STUDY_SCHEMA_VERSION, description="Version of this schema.")
    created: AwareDatetime = Field(description="When the report was made, with time zone.")
    redsm5: str = Field(description="Version of redsm5.")
    study: str = Field(description="Name of the study.")
    storage: str = Field(description="Database, without a password.")
    objective: str = Field(description="The metric that was optimised.")
    direction: Literal["minimize", "maximize"] = Field(description="Which values are better.")
    objectives: list[ObjectiveInfo] = Field(description="All that was optimised, the objective first.")
    seed: int = Field(ge=0, description="Seed of the study.")
    sampler: str = Field(description="The sampler, in words.")
    pruner: str = Field(description="The pruner, in words.")
    dimensions: int = Field(ge=1, description="Dimensions of the space: parameters that are drawn.")
    budget: int = Field(ge=1, description="Trials that were asked for.")
    counts: Counts = Field(description="Trials by state.")
    reasons: dict[str, int] = Field(description="Failed trials by reason.")
    shares: Shares = Field(description="What pruning and early stopping did.")
    best: list[BestTrial] = Field(description="The best trial, and those that are as good; the first is the best.")
    front: list[FrontTrial] = Field(
        description="Of several objectives the Pareto front, the best by the first one first; else empty."
    )
    first_within_one_percent: int | None = Field(
        description="First trial whose value is within 1 % of the best one; null without a best one."
    )
    test: TestResult | None = Field(description="The best trial on the test part; null without figures of it here.")
    test_evaluations: int = Field(ge=0, description="How often the test part was looked at in this study.")
    tested: list[int] = Field(default=[], description="Trials that were evaluated on it, in that order.")
    seconds: dict[str, float] = Field(description="Sums over trials: sampling, start, fits, storage; wall.")
    peak_disk_bytes: int = Field(
        ge=0,
        description="The most bytes that the search took in the study's folder, as seen after each trial, with what "
        "the checkpoints of that trial took at their most. Caches lie elsewhere and are left out.",
    )
