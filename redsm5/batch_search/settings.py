"""What of a config decides how much memory a batch takes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from redsm5.datamodules.criteria import load_criteria
from redsm5.datamodules.sources import find_files

WHOLE = ("encoder", "pooling", "aggregation", "criteria_head", "evidence_head", "coupling", "peft", "freezing")
"""Options of the model that say how large it is and what of it is trained."""
KIND = ("optimizer", "criteria_loss", "task_weighting", "adversarial")
"""Options of the model of which only the kind matters: rates and weights take no memory."""


@dataclass(frozen=True)
class Setting:
    """A config as far as memory depends on it.

    Attributes:
        encoder: Hub id or folder.
        max_length: Tokens of a window.
        precision: ``none``, ``bf16`` or ``fp16``.
        checkpointing: Whether activations are recomputed.
        peft: Name of the class of the PEFT method.
        accumulates: Whether batches are accumulated for a step.
        rest: Hash of everything else.
    """

    encoder: str
    max_length: int
    precision: str
    checkpointing: bool
    peft: str
    accumulates: bool
    rest: str


def setting_of(config: Namespace, *, accumulates: bool) -> Setting:
    """The setting of a parsed config.

    Args:
        config: The config.
        accumulates: Whether batches will be accumulated, whatever the config says.

    Raises:
        UserError: The criteria file cannot be read.
    """
    model, data = config.model, config.data
    values: dict[str, Any] = {name: _plain(model[name]) for name in WHOLE}
    values |= {name: _kind(model[name]) for name in KIND}
    criteria = load_criteria(criteria_file(config))
    values["format"] = _plain(data.format)
    values["criteria"] = [[c.code, c.title, c.text] for c in criteria]
    text = json.dumps(values, sort_keys=True, default=str)
    return Setting(
        encoder=model.encoder.id,
        max_length=data.max_length,
        precision=config.runtime.precision,
        checkpointing=model.encoder.gradient_checkpointing,
        peft=_kind(model.peft),
        accumulates=accumulates,
        rest=hashlib.sha256(text.encode()).hexdigest()[:16],
    )


def criteria_file(config: Namespace) -> str | None:
    """The criteria that a run with this config would use: the one that is named, that of the corpus, or None.

    Raises:
        UserError: The folder of the corpus does not hold what it should.
    """
    data = config.data
    if data.criteria is not None:
        return str(data.criteria)
    if data.path is not None and Path(data.path).is_dir():
        return find_files([entry for entry in sorted(Path(data.path).iterdir()) if entry.is_file()], data.path)[2]
    return None


def _kind(option: Any) -> str:
    return str(option.class_path).rpartition(".")[2]


def _plain(option: Any) -> Any:
    return option.as_dict() if isinstance(option, Namespace) else option
