"""Writing a checkpoint so that a power cut leaves all of it or nothing, and reading it with every byte checked.

A checkpoint is a folder: ``weights.safetensors`` (the model's tensors), ``state.safetensors`` (those of optimizer and
random states), ``state.json`` (all else) and ``manifest.json`` with their hashes.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from redsm5 import __version__
from redsm5.atomic import interrupts_wait, sync
from redsm5.checkpoints.manifest import FORMAT, MANIFEST, CheckpointManifest, FileHash
from redsm5.checkpoints.tree import from_json, to_json
from redsm5.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, STATE, SKELETON = "weights.safetensors", "state.safetensors", "state.json"
MODEL = "state_dict/"
"""Begins the names of the model's tensors."""
ASIDE = ".tmp"
"""Ends the name of a folder that is being written."""


class DamagedCheckpoint(UserError):
    """A checkpoint that is not what was written."""


def write_checkpoint(target: Path, checkpoint: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint into a new folder.

    It is written aside in the same folder, flushed, and renamed; a failure leaves nothing behind.

    Args:
        target: The new folder.
        checkpoint: Nested containers of tensors and plain values; the model's tensors under ``state_dict``.
        facts: Fields of the manifest, but for ``redsm5`` and ``files``.

    Raises:
        OSError: It could not be written, or exists.
        TypeError: The checkpoint holds something that is no plain data.
    """
    skeleton, tensors = to_json(checkpoint)
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}{ASIDE}")
    with interrupts_wait():
        try:
            aside.mkdir()
            weights = {name: tensor for name, tensor in tensors.items() if name.startswith(MODEL)}
            _write_tensors(aside / WEIGHTS, weights)
            _write_tensors(aside / STATE, {name: tensors[name] for name in tensors.keys() - weights.keys()})
            (aside / SKELETON).write_text(json.dumps(skeleton), encoding="utf-8")
            files = {name: hash_of(aside / name) for name in (WEIGHTS, STATE, SKELETON)}
            manifest = CheckpointManifest(redsm5=__version__, files=files, **facts).sealed()
            (aside / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            for name in (*files, MANIFEST):
                sync(aside / name)
            sync(aside)
            os.rename(aside, target)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        sync(target.parent)


def discard(folder: Path) -> None:
    """Remove a checkpoint: it is gone at once, however long its files take and whatever comes between."""
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}{ASIDE}")
    folder.rename(aside)
    shutil.rmtree(aside)


def read_manifest(folder: Path) -> CheckpointManifest:
    """What a checkpoint says of itself; its files are not looked at.

    Raises:
        DamagedCheckpoint: There is no manifest, or it is none of this version.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise DamagedCheckpoint(f"the checkpoint {folder} has no {MANIFEST}") from error
    try:
        found = json.loads(text)
        version = found.get("format") if isinstance(found, dict) else None
        if isinstance(version, int) and version != FORMAT:
            raise UserError(
                f"the checkpoint {folder} has format {version}, this redsm5 ({__version__}) reads {FORMAT}; "
                f"use redsm5 {found.get('redsm5')}"
            )
        manifest = CheckpointManifest.model_validate(found)
    except (ValueError, ValidationError) as error:
        raise DamagedCheckpoint(f"the checkpoint {folder} is damaged ({MANIFEST})") from error
    if manifest != manifest.sealed():
        raise DamagedCheckpoint(f"the checkpoint {folder} is damaged ({MANIFEST} is not what was written)")
    return manifest


def read_checkpoint(folder: Path, *, device: Any = "cpu") -> dict[str, Any]:
    """What was written, every byte of it checked; nothing is executed.

    Args:
        folder: The checkpoint.
        device: Where its tensors go.

    Raises:
        DamagedCheckpoint: It is not what was written, or no checkpoint at all.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    manifest = read_manifest(folder)
    verify(folder, manifest)
    try:
        skeleton = json.loads((folder / SKELETON).read_text(encoding="utf-8"))
        tensors = {name: tensor for file in (WEIGHTS, STATE) for name, tensor in load_file(folder / file).items()}
        checkpoint: dict[str, Any] = from_json(skeleton, {name: t.to(device) for name, t in tensors.items()})
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise DamagedCheckpoint(f"the checkpoint {folder} cannot be read: {error}") from error
    return checkpoint


def verify(folder: Path, manifest: CheckpointManifest) -> None:
    """See that the files of a checkpoint are those that were written.

    Raises:
        DamagedCheckpoint: One is missing, longer, shorter, or differs; names it.
    """
    for name in (WEIGHTS, STATE, SKELETON):
        expected = manifest.files.get(name)
        try:
            found = hash_of(folder / name)
        except OSError as error:
            raise DamagedCheckpoint(f"the checkpoint {folder} lacks {name}") from error
        if found != expected:
            raise DamagedCheckpoint(f"the checkpoint {folder} is damaged ({name} is not what was written)")


def hash_of(path: Path) -> FileHash:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileHash(bytes=os.fstat(file.fileno()).st_size, sha256=digest)


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    except SafetensorError as error:  # a full disk, in the words of Rust
        raise OSError(f"{path.name} could not be written ({error})") from error
