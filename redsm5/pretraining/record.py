"""``pretraining.json``: what an encoder was trained on, and how well it fills in masked tokens."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from redsm5.errors import UserError
from redsm5.metrics.evaluation import Frozen

RECORD = "pretraining.json"


class Point(Frozen):
    """The held-out texts after some epochs."""

    epoch: int = Field(ge=0, description="Epochs so far; 0: before the training.")
    loss: float = Field(description="Nats per masked token.")
    perplexity: float = Field(description="Its exponential.")


class StageRecord(Frozen):
    """``pretraining.json`` of a stage."""

    format: Literal[1] = Field(default=1, description="Version of its form.")
    redsm5: str = Field(description="Version of redsm5 that made the stage.")
    created: datetime = Field(description="When the epoch was finished.")
    kind: Literal["dapt", "tapt"] = Field(description="dapt: on texts of the domain; tapt: on training posts.")
    key: str = Field(description="Hash of all settings: the name of the stage in the cache.")
    epochs: int = Field(ge=1, description="Epochs behind this encoder.")
    settings: dict[str, Any] = Field(description="What decides the weights; texts are in it as a hash.")
    encoder: str = Field(description="Hub id or folder of the encoder at the beginning of the chain.")
    revision: str | None = Field(description="Its resolved revision; null for a folder.")
    before: StageRecord | None = Field(description="The stage before this one.")
    pretrained_head: bool = Field(description="Whether the masked-LM head began with weights of the release.")
    texts: int = Field(ge=0, description="Texts, held-out ones included.")
    tokens: int = Field(ge=0, description="Their tokens.")
    rows: int = Field(ge=0, description="Rows of an epoch.")
    held_out_rows: int = Field(ge=0, description="Rows that the loss is measured on.")
    curve: list[Point] = Field(description="Before the training and after each epoch.")
    seconds: float = Field(description="Seconds of the training so far.")
    weights_sha256: str = Field(description="SHA-256 of model.safetensors.")

    @property
    def chain(self) -> list[StageRecord]:
        """This stage and those before it, the first one first."""
        return [*(self.before.chain if self.before else []), self]


def read_record(folder: Path) -> StageRecord | None:
    """The record in the folder of an encoder or of a run; None where there is none.

    Raises:
        UserError: It cannot be read.
    """
    try:
        text = (folder / RECORD).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{folder / RECORD} cannot be read: {error.strerror}") from error
    try:
        return StageRecord.model_validate(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise UserError(
            f"{folder / RECORD} is no record of a pretraining that this version reads; remove it, or pretrain again"
        ) from error


def has_read_posts(encoder: str) -> bool:
    """Whether an encoder is a folder that a pretraining on the training posts of some corpus has left.

    Args:
        encoder: Its id, or its folder.

    Raises:
        UserError: Its record cannot be read.
    """
    record = read_record(Path(encoder))
    return record is not None and any(stage.kind == "tapt" for stage in record.chain)
