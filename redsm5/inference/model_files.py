"""What a model is made of, read from a run or from an exported folder; nothing that is read is executed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from redsm5.checkpoints.manifest import Base
from redsm5.checkpoints.store import read_checkpoint
from redsm5.datamodules.corpus import Criterion
from redsm5.datamodules.criteria import load_criteria
from redsm5.errors import UserError
from redsm5.inference.calibrated import Calibration, read_calibration
from redsm5.inference.manifest import MANIFEST, ExportFolder, Manifest
from redsm5.inference.recipe import Recipe, read_recipe
from redsm5.metrics.thresholds import threshold_of
from redsm5.run.folder import RunFolder
from redsm5.run.seals import check_seals, note_edits

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerFast

NETWORK_PREFIX = "network."
"""Of the network's keys in a checkpoint."""


@dataclass(frozen=True)
class ModelFiles:
    """A model before it is built.

    Attributes:
        recipe: Its options; the encoder's id is a folder for an exported model that holds its encoder.
        criteria: In the order of the outputs.
        thresholds: In the same order, for the probabilities that the network gives.
        tokenizer: Of the encoder.
        state: The network's tensors by name, those of ``base`` left out.
        base: The pretrained encoder to be loaded first; None where ``state`` is all.
        identity: Hash of all that decides a prediction.
        calibration: How its probabilities are to be read; None where they stay as they are.
    """

    recipe: Recipe
    criteria: tuple[Criterion, ...]
    thresholds: tuple[float, ...]
    tokenizer: PreTrainedTokenizerFast
    state: dict[str, Tensor]
    base: Base | None
    identity: str
    calibration: Calibration | None = None


def read_model(path: str | Path) -> ModelFiles:
    """The model in a folder.

    Args:
        path: An exported model, or the folder of a finished run.

    Raises:
        UserError: It is neither, a file is missing or damaged, or its encoder cannot be had.
    """
    folder = Path(path).expanduser()
    if folder.is_file():
        raise UserError(f"{path} is a file; give the folder of an exported model or of a finished run")
    if not folder.is_dir():
        raise UserError(f"there is no folder {path}; give an exported model or the folder of a finished run")
    if (folder / MANIFEST).is_file():
        return _read_export(ExportFolder(folder))
    if RunFolder(folder).config.is_file():
        return _read_run(RunFolder(folder))
    raise UserError(f"{path} holds neither an exported model ({MANIFEST}) nor a run (config.yaml)")


def _read_export(folder: ExportFolder) -> ModelFiles:
    from safetensors.torch import load_file

    manifest = read_manifest(folder)
    _refuse_other_files(folder, manifest)
    for name, digest in manifest.files.items():
        file = folder.path / name
        if not file.is_file():
            raise UserError(f"{folder.path} lacks {name}; copy the whole folder again, or export it again")
        if sha256_of(file) != digest:
            raise UserError(f"{file} is damaged (its SHA-256 differs from {MANIFEST}); copy or export it again")
    whole = manifest.kind == "whole"
    recipe = read_recipe(_yaml(folder.config), str(folder.config))
    criteria = load_criteria(str(folder.criteria))
    thresholds = _thresholds(folder.thresholds, criteria)
    calibrated = folder.calibration.name in manifest.files
    return ModelFiles(
        recipe=recipe.with_random_encoder(folder.encoder) if whole else recipe,
        criteria=criteria,
        thresholds=thresholds,
        tokenizer=_exported_tokenizer(folder.tokenizer),
        state=load_file(folder.weights),
        base=None if whole else manifest.base,
        identity=sha256_of(folder.manifest),
        calibration=read_calibration(folder.calibration, criteria, thresholds) if calibrated else None,
    )


def _read_run(folder: RunFolder) -> ModelFiles:
    from redsm5.datamodules.tokenizer import load_tokenizer

    for file in (folder.training, folder.thresholds, folder.criteria):
        if not file.is_file():
            raise UserError(f"{folder.path} holds no finished run ({file.name} is missing); run redsm5 fit to its end")
    best = folder.best_checkpoint()
    check_seals(folder)
    recipe = read_recipe(_yaml(folder.config), str(folder.config))
    criteria = load_criteria(str(folder.criteria))
    thresholds = _thresholds(folder.thresholds, criteria)
    note_edits(folder)
    encoder = recipe.network.encoder
    base = best.manifest.base if best.manifest.base.sha256 is not None else None
    parts = (repr(best.manifest.files), folder.thresholds.read_text(), folder.criteria.read_text(), repr(recipe))
    return ModelFiles(
        # Where the checkpoint holds every weight, of the encoder only the architecture is read again.
        recipe=recipe.with_random_encoder() if base is None else recipe,
        criteria=criteria,
        thresholds=thresholds,
        tokenizer=load_tokenizer(encoder.id, encoder.revision),
        state=_checkpoint_state(best.path),
        base=base,
        identity=hashlib.sha256("\0".join(parts).encode("utf-8")).hexdigest(),
    )


def read_manifest(folder: ExportFolder) -> Manifest:
    """The manifest of an exported model.

    Raises:
        UserError: It cannot be read, or is of another version.
    """
    try:
        return Manifest.model_validate_json(folder.manifest.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(
            f"{folder.manifest} is no manifest of this version of redsm5 ({where}: {first['msg']}); export again"
        ) from error


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _checkpoint_state(folder: Path) -> dict[str, Tensor]:
    state = read_checkpoint(folder)["state_dict"]
    return {k.removeprefix(NETWORK_PREFIX): v for k, v in state.items() if k.startswith(NETWORK_PREFIX)}


def _thresholds(file: Path, criteria: tuple[Criterion, ...]) -> tuple[float, ...]:
    try:
        values: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if values.keys() != {criterion.code for criterion in criteria}:
            raise ValueError
        return tuple(threshold_of(values[criterion.code]) for criterion in criteria)
    except (ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{file} does not hold one threshold per criterion; fit or export again") from error


def _refuse_other_files(folder: ExportFolder, manifest: Manifest) -> None:
    """The manifest vouches for every file, and for no other."""
    there = {path.relative_to(folder.path).as_posix() for path in folder.path.rglob("*") if path.is_file()}
    required = {
        file.relative_to(folder.path).as_posix() for file in (folder.config, folder.criteria, folder.thresholds)
    }
    required |= {folder.weights.name, "encoder/config.json", "tokenizer/tokenizer.json"}
    unknown = sorted(required - manifest.files.keys()) or sorted(
        there - manifest.files.keys() - {MANIFEST, folder.card.name}
    )
    if unknown:
        raise UserError(
            f"{folder.manifest} says nothing of {unknown[0]}; copy the whole folder again, or export it again"
        )


def _exported_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    from transformers import PreTrainedTokenizerFast

    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"the tokenizer in {folder} cannot be read; export again") from error
    tokenizer.deprecation_warnings["sequence-length-is-longer-than-the-specified-maximum"] = True
    assert isinstance(tokenizer, PreTrainedTokenizerFast)
    return tokenizer


def _yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{file} cannot be read as YAML; fit or export again") from error
