"""What a checkpoint says of itself: written last, so that a folder with a manifest is whole."""

from __future__ import annotations

import hashlib
import math
from typing import Literal

from pydantic import Field

from redsm5.metrics.evaluation import Frozen

MANIFEST = "manifest.json"
FORMAT: Literal[1] = 1
"""Raised when older versions cannot read a checkpoint any more."""

Kind = Literal["resume", "weights"]


class Base(Frozen):
    """The pretrained encoder that a model was trained from."""

    id: str = Field(description="Hub id or local folder.")
    revision: str | None = Field(description="Resolved revision; null for a local folder.")
    sha256: str | None = Field(
        description="Hash, by name, type, shape and content, of the tensors that were not trained and are not here; "
        "null where all are."
    )


class FileHash(Frozen):
    """A file of the checkpoint."""

    bytes: int = Field(ge=0, description="Its size.")
    sha256: str = Field(description="Its SHA-256.")


class CheckpointManifest(Frozen):
    """``manifest.json`` of a checkpoint."""

    format: Literal[1] = Field(default=FORMAT, description="Version of the checkpoint's form.")
    redsm5: str = Field(description="Version of redsm5 that wrote it.")
    kind: Kind = Field(description="resume: all state of the training; weights: what predicts.")
    epoch: int = Field(ge=0, description="Epoch in which it was written, from 0.")
    step: int = Field(ge=0, description="Optimizer steps before it.")
    monitor: str | None = Field(description="Metric that picks the best epoch; null in the middle of an epoch.")
    mode: Literal["min", "max"] = Field(description="Whether that metric is minimised or maximised.")
    value: float | None = Field(description="Its value after the epoch; null where it is not a number.")
    val_loss: float | None = Field(description="Validation loss after the epoch: decides between equal values.")
    base: Base = Field(description="What the weights stand on.")
    files: dict[str, FileHash] = Field(description="Size and hash of each file, by name.")
    seal: str = Field(default="", description="SHA-256 of all of the above: what decides which is best is checked too.")

    def sealed(self) -> CheckpointManifest:
        """The same with its seal."""
        bare = self.model_copy(update={"seal": ""})
        return self.model_copy(update={"seal": hashlib.sha256(bare.model_dump_json().encode()).hexdigest()})

    @property
    def rank(self) -> tuple[float, float, int]:
        """What a better checkpoint has less of: the metric (turned round), the validation loss, epochs."""
        value = math.inf if self.value is None else self.value if self.mode == "min" else -self.value
        return value, math.inf if self.val_loss is None else self.val_loss, self.epoch

    @property
    def bytes(self) -> int:
        """Size of all files but the manifest."""
        return sum(file.bytes for file in self.files.values())
