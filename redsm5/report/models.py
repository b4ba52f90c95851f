"""``report.json``: what was run, on what, and what came out. Ids, numbers and the config; never text of posts."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from typing import Any, Literal

from pydantic import AwareDatetime, Field, JsonValue, field_validator

from redsm5 import __version__
from redsm5.metrics.evaluation import (
    Bootstrap,
    CriteriaSummary,
    CriterionScores,
    DecisionScores,
    Evaluation,
    EvidenceScores,
    Frozen,
    Interval,
    Published,
)

__all__ = [
    "SCHEMA_VERSION",
    "Bootstrap",
    "CorpusInfo",
    "CriteriaSummary",
    "CriterionScores",
    "DecisionScores",
    "EncoderInfo",
    "Environment",
    "Evaluation",
    "EvidenceScores",
    "Interval",
    "Part",
    "Published",
    "Report",
    "TrainingInfo",
]

SCHEMA_VERSION: Literal[1] = 1
"""Raised when a field of the report changes its meaning or goes."""

Part = Literal["val", "test"]
"""The parts of a corpus that are evaluated."""


class Environment(Frozen):
    """What the numbers depend on besides the config: bit equality holds for the same environment only."""

    redsm5: str = Field(description="Version of redsm5.")
    python: str = Field(description="Version of Python.")
    torch: str = Field(description="Version of torch.")
    transformers: str = Field(description="Version of transformers.")
    lightning: str = Field(description="Version of lightning.")
    seed: int = Field(description="Seed of the run.")
    threads: int = Field(ge=1, description="Threads of torch within one operation.")
    device: str = Field(description="Device in words: cpu, or the name of the GPU.")

    @classmethod
    def current(cls, *, seed: int, threads: int, device: str) -> Environment:
        """This process's versions, read from the installed packages without importing them.

        Args:
            seed: Seed of the run.
            threads: ``torch.get_num_threads()``.
            device: Device in words.
        """
        return cls(
            redsm5=__version__,
            python=platform.python_version(),
            torch=version("torch"),
            transformers=version("transformers"),
            lightning=version("lightning"),
            seed=seed,
            threads=threads,
            device=device,
        )


class EncoderInfo(Frozen):
    """The pretrained encoder and the size of the model on it."""

    id: str = Field(description="Hub id or local folder.")
    revision: str | None = Field(
        description="Commit on the hub, or sha256: and the hash of bundled weights; null for a local folder."
    )
    parameters: int = Field(ge=0, description="Parameters of the whole model.")
    trainable: int = Field(ge=0, description="Parameters that are trained.")


class CorpusInfo(Frozen):
    """The corpus and its split."""

    source: str = Field(description="Paths, or dataset id with the resolved revision.")
    synthetic: bool = Field(
        default=False, description="Whether redsm5 data synth made it: no figure says anything about people then."
    )
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Hash of the validated content.")
    posts: int = Field(ge=1, description="Posts in the corpus.")
    splits: dict[str, int] = Field(description="Posts per part: train, val, test.")
    alignments: dict[str, int] = Field(
        description="Annotated sentences by how they were found in their post: exact, normalised, fuzzy, failed."
    )


class CheckpointInfo(Frozen):
    """What writing checkpoints cost."""

    saves: int = Field(ge=0, description="Checkpoints written.")
    seconds: float = Field(ge=0, description="Seconds spent on them.")
    longest_prune: float = Field(ge=0, description="Seconds of the longest removal of old ones.")
    peak_bytes: int = Field(ge=0, description="The most bytes that they took on the disk at one time.")


class TrainingInfo(Frozen):
    """How the fit went."""

    epochs: int = Field(ge=0, description="Epochs begun and finished.")
    best_epoch: int | None = Field(description="Epoch of the kept checkpoint, from 0; null without one.")
    tied_epochs: list[int] = Field(
        default_factory=list, description="Kept epochs that are as good by the metric; the lower val_loss decided."
    )
    monitor: str = Field(description="Metric by which it was chosen.")
    best_value: float | None = Field(description="Value of that metric at the best epoch.")
    stopped_early: bool = Field(description="Whether early stopping ended the fit.")
    seconds: float = Field(ge=0, description="Wall-clock time of the fit.")
    tokens_per_second: float | None = Field(ge=0, description="Useful (not padding) training tokens per second.")
    checkpoints: CheckpointInfo | None = Field(default=None, description="What writing checkpoints cost.")


class Report(Frozen):
    """The whole of ``report.json``."""

    schema_version: Literal[1] = Field(default=SCHEMA_VERSION, description="Version of this schema.")
    created: AwareDatetime = Field(description="When the report was made, with time zone.")
    environment: Environment = Field(description="Versions, seed, threads, device.")
    encoder: EncoderInfo = Field(description="The encoder.")
    corpus: CorpusInfo = Field(description="What it was trained and evaluated on.")
    config: dict[str, JsonValue] = Field(description="The config as resolved: what config.yaml of the run holds.")
    training: TrainingInfo | None = Field(description="The fit; null where the model was not trained here.")
    thresholds: dict[str, float] = Field(description="Tuned threshold per criterion code; empty where not tuned.")
    evaluations: dict[Part, Evaluation] = Field(description="Numbers of the model per part.")
    baselines: dict[str, dict[Part, Evaluation]] = Field(
        default_factory=dict, description="Numbers of baselines on the same split, by name and part."
    )

    @field_validator("config", mode="before")
    @classmethod
    def _spell_infinity(cls, config: Any) -> Any:
        return _spelled(config)


def _spelled(value: Any) -> Any:
    """Infinite and undefined floats as YAML spells them (``.inf``, ``.nan``): JSON has none."""
    if isinstance(value, dict):
        return {key: _spelled(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return value
