"""An exported model's folder and its manifest: what is in it, of which hash, and on what it stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from redsm5.checkpoints.manifest import Base
from redsm5.metrics.evaluation import Frozen

MANIFEST = "manifest.json"
EXPORT_VERSION: Literal[1] = 1
"""Raised when older versions cannot read the folder any more."""


@dataclass(frozen=True)
class ExportFolder:
    """Paths inside an exported model."""

    path: Path

    @property
    def manifest(self) -> Path:
        """Version, base and hashes."""
        return self.path / MANIFEST

    @property
    def config(self) -> Path:
        """The options of the network, the format and the windows."""
        return self.path / "config.yaml"

    @property
    def criteria(self) -> Path:
        """The criteria in the order of the outputs."""
        return self.path / "criteria.json"

    @property
    def thresholds(self) -> Path:
        """The threshold of each criterion."""
        return self.path / "thresholds.json"

    @property
    def calibration(self) -> Path:
        """How probabilities are to be read; only of a model that was exported with it."""
        return self.path / "calibration.json"

    @property
    def weights(self) -> Path:
        """The tensors."""
        return self.path / "model.safetensors"

    @property
    def encoder(self) -> Path:
        """Folder with the encoder's config.json."""
        return self.path / "encoder"

    @property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer."""
        return self.path / "tokenizer"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.path / "README.md"


class Manifest(Frozen):
    """``manifest.json`` of an exported model."""

    export_version: Literal[1] = Field(default=EXPORT_VERSION, description="Version of the folder's form.")
    redsm5: str = Field(description="Version of redsm5 that wrote it.")
    kind: Literal["whole", "adapter_only"] = Field(
        description="whole: every weight is here; adapter_only: what was trained, on top of the base."
    )
    base: Base = Field(description="The encoder that was trained.")
    files: dict[str, str] = Field(description="SHA-256 of each file, by its path in the folder.")
