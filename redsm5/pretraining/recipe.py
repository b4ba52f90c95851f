"""All that decides the weights of a stage, and its hash: the key of the stage. Torch-free."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from redsm5 import hub
from redsm5.modules.encoder import Encoder
from redsm5.pretraining.options import Kind, MaskingStyle, Packing, Pretraining
from redsm5.pretraining.record import read_record

PRETRAINING_VERSION = 1
"""Raised whenever the same settings give other weights: it is part of the key."""
SHARED = (
    "masking_style", "max_length", "packing", "batch_tokens", "accumulate", "lr", "head_lr", "weight_decay", "warmup",
    "hidden_dropout", "attention_dropout", "lora_r", "lora_lr", "held_out",
)  # fmt: skip
"""Options that both stages read."""


@dataclass(frozen=True)
class Recipe:
    """What decides the weights of a stage, but for the number of epochs: those are snapshots of one run.

    The number of threads is not in it: it changes the last bits only.

    Attributes:
        kind: Which stage.
        base: The encoder that it starts from, as ``base_identity`` or ``stage_identity`` names it.
        tokenizer: A hash of the tokenizer's files.
        texts: A hash of the texts.
    """

    kind: Kind
    base: str
    tokenizer: str
    texts: str
    masking_style: MaskingStyle
    probability: float
    max_length: int
    packing: Packing
    batch_tokens: int
    accumulate: int
    lr: float
    head_lr: float
    weight_decay: float
    warmup: float
    hidden_dropout: float | None
    attention_dropout: float | None
    lora_r: int | None
    lora_lr: float
    held_out: float
    seed: int
    precision: str
    random_weights: bool

    @classmethod
    def of(
        cls,
        option: Pretraining,
        kind: Kind,
        *,
        base: str,
        tokenizer: str,
        texts: str,
        seed: int,
        precision: str,
        random_weights: bool,
    ) -> Recipe:
        """The recipe of a stage.

        Args:
            option: The section of the config.
            kind: Which stage.
            base: The encoder that it starts from.
            tokenizer: A hash of the tokenizer's files.
            texts: A hash of the texts.
            seed: Of the run.
            precision: Of the run.
            random_weights: Whether the encoder starts from random weights.
        """
        return cls(
            kind=kind,
            base=base,
            tokenizer=tokenizer,
            texts=texts,
            probability=option.probability(kind),
            seed=seed,
            precision=precision,
            random_weights=random_weights,
            **{name: getattr(option, name) for name in SHARED},
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The same as plain data."""
        return {"version": PRETRAINING_VERSION, **asdict(self)}

    @property
    def key(self) -> str:
        """32 hexadecimal digits."""
        return hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:32]


def stage_identity(key: str, epochs: int) -> str:
    """The encoder that a stage leaves after some epochs.

    Args:
        key: Of the stage.
        epochs: How many.
    """
    return f"stage {key} epoch {epochs}"


def base_identity(encoder: Encoder) -> str:
    """An encoder by its content: a stage by its key, a folder by the hash of its weights, else id and commit.

    Args:
        encoder: The option.

    Raises:
        UserError: It cannot be found.
    """
    id, revision = encoder.id, encoder.revision
    if encoder.random_weights:
        return f"random weights of {files_sha256(hub.resolve(id, revision, allow=hub.CONFIG), hub.CONFIG)}"
    folder = hub.resolve_weights(id, revision)
    resolved = hub.resolved_revision(id, revision)
    if resolved is not None:
        return f"{id}@{resolved}"
    record = read_record(folder)
    if record is not None and file_sha256(folder / "model.safetensors") == record.weights_sha256:
        return stage_identity(record.key, record.epochs)
    weights = hub.SAFETENSORS if hub.has_any(folder, hub.SAFETENSORS) else hub.PICKLES
    return f"folder {files_sha256(folder, (*hub.CONFIG, *weights))}"


def tokenizer_identity(id: str, revision: str | None) -> str:
    """A hash of the tokenizer's files and of the library that runs them.

    Raises:
        UserError: They cannot be found.
    """
    folder = hub.resolve(id, revision, allow=hub.TOKENIZER, need=hub.VOCABULARIES)
    patterns = tuple(pattern for pattern in hub.TOKENIZER if pattern not in hub.CONFIG)
    return hashlib.sha256(f"{version('tokenizers')}\0{files_sha256(folder, patterns)}".encode()).hexdigest()


def files_sha256(folder: Path, patterns: tuple[str, ...]) -> str:
    """A hash of the names and contents of files.

    Args:
        folder: Where they lie.
        patterns: Glob patterns of their names.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and any(fnmatch.fnmatch(path.name, pattern) for pattern in patterns):
            digest.update(f"{path.name}\0{file_sha256(path)}\0".encode())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file; of nothing where there is none."""
    if not path.is_file():
        return hashlib.sha256().hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
