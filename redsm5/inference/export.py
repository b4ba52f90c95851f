"""A finished run as a folder that predicts anywhere: without the corpus, without the hub, without what trained it."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from safetensors import SafetensorError
from safetensors.torch import save_file

from redsm5 import __version__, hub
from redsm5.atomic import sync
from redsm5.checkpoints.manifest import Base
from redsm5.errors import UserError
from redsm5.inference.build import build_network
from redsm5.inference.calibrated import Shipped
from redsm5.inference.card import model_card
from redsm5.inference.manifest import MANIFEST, ExportFolder, Manifest
from redsm5.inference.model_files import ModelFiles, read_model, sha256_of
from redsm5.inference.network_predictor import NetworkPredictor
from redsm5.inference.recipe import RuntimeRecipe, merged_config, read_recipe, recipe_config
from redsm5.modules.network_state import trained_state
from redsm5.peft.attach import merge
from redsm5.report.writing import read_report
from redsm5.run.folder import RunFolder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Kind = Literal["whole", "adapter_only"]
PROBE = "I have not slept for weeks. My sister came over with her dog, and it rained."
"""A made-up text that an export must predict as its run does."""
MERGE_TOLERANCE = 1e-4
"""How far its probabilities may be from those of the run where weights were added up beforehand."""


def export(
    run: str | Path,
    out: Path,
    *,
    kind: Kind = "whole",
    overwrite: bool = False,
    search: str = "",
    shipped: Shipped | None = None,
) -> None:
    """Write the model of a run into a folder, whole or not at all, and see that it predicts the same.

    Args:
        run: Folder of a finished run.
        out: The new folder.
        kind: ``whole``: every weight, those of LoRA and its kin folded into the encoder's; ``adapter_only``: what was
            trained, on top of a base that is named by its id, revision and hash.
        overwrite: Replace an exported model that is there.
        search: Sections of the card on the search that the run is from.
        shipped: Thresholds and calibration in place of those of the run.

    Raises:
        UserError: The run is not finished, the folder exists or cannot be written, or nothing was left untrained.
    """
    source = RunFolder(Path(run).expanduser())
    if not source.config.is_file() or (source.path / MANIFEST).is_file():
        raise UserError(f"{run} is no folder of a run; give the run_dir of a finished fit")
    _refuse_existing(out, overwrite)
    files = read_model(source.path)
    if shipped is not None:
        shipped.check(files.criteria)
    config = yaml.safe_load(source.config.read_text(encoding="utf-8"))
    recipe = read_recipe(config, str(source.config))
    n_outputs = recipe.data.format.build(files.criteria, files.tokenizer).n_outputs
    network = build_network(files, n_outputs)
    option = recipe.network.encoder
    base = Base(id=option.id, revision=hub.resolved_revision(option.id, option.revision), sha256=None)
    kept = recipe_config(config)
    fold = kind == "whole" and recipe.network.peft.mergeable
    if fold:
        merge(network.encoder)
        kept = merged_config(kept)
    state = network.state_dict()
    if kind == "adapter_only":
        if all(parameter.requires_grad for parameter in network.encoder.parameters()):
            raise UserError(
                f"every weight of {option.id} was trained: there is no adapter to export alone; "
                "leave out --adapter-only"
            )
        state = trained_state(network)
        assert files.base is not None  # a run whose encoder was frozen stands on it
        base = files.base
    aside = ExportFolder(out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp"))
    try:
        aside.path.mkdir()
        _write_yaml(aside.config, kept)
        shutil.copyfile(source.criteria, aside.criteria)
        if shipped is None:
            shutil.copyfile(source.thresholds, aside.thresholds)
        else:
            aside.thresholds.write_text(shipped.thresholds_json, encoding="utf-8")
            aside.calibration.write_text(shipped.calibration_json, encoding="utf-8")
        aside.encoder.mkdir()
        network.encoder.config.to_json_file(aside.encoder / "config.json", use_diff=False)
        write_tokenizer(files.tokenizer, aside.tokenizer)
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, aside.weights)
        report = read_report(source.report)
        card = model_card(report, files.criteria, base, kind, out.name, search=search, confirmed=shipped is not None)
        aside.card.write_text(card, encoding="utf-8")
        _write_manifest(aside, base, kind)
        _check_same(files, aside, tolerance=MERGE_TOLERANCE if fold else 0.0)
        put_in_place(aside.path, out, overwrite)
    except (OSError, SafetensorError) as error:
        said = getattr(error, "strerror", None) or error
        raise UserError(f"cannot write {out}: {said}; choose another --out") from error
    finally:
        shutil.rmtree(aside.path, ignore_errors=True)


def _refuse_existing(out: Path, overwrite: bool) -> None:
    if not out.exists():
        if not out.parent.is_dir():
            raise UserError(f"--out {out}: there is no folder {out.parent}; make it, or choose another")
        return
    if not (out / MANIFEST).is_file():
        raise UserError(f"--out {out} exists and is no exported model; choose another")
    if not overwrite:
        raise UserError(f"--out {out} holds an exported model; choose another, or add --overwrite")


def _write_yaml(file: Path, values: dict[str, Any]) -> None:
    file.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def write_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The tokenizer as it is now, mended: its own class, loaded again, might undo that."""
    from transformers import PreTrainedTokenizerFast

    plain = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer.backend_tokenizer,
        model_input_names=tokenizer.model_input_names,
        model_max_length=tokenizer.model_max_length,
        **tokenizer.special_tokens_map,
    )
    plain.save_pretrained(folder)


def _write_manifest(folder: ExportFolder, base: Base, kind: Kind) -> None:
    # The card is for people, who may add to it.
    paths = sorted(path for path in folder.path.rglob("*") if path.is_file() and path != folder.card)
    hashes = {path.relative_to(folder.path).as_posix(): sha256_of(path) for path in paths}
    manifest = Manifest(redsm5=__version__, kind=kind, base=base, files=hashes)
    folder.manifest.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _check_same(files: ModelFiles, exported: ExportFolder, *, tolerance: float) -> None:
    [ours] = NetworkPredictor(_in_fp32(files), device="cpu").predict([PROBE])
    found = replace(read_model(exported.path), thresholds=files.thresholds, calibration=None)  # these may be others
    [theirs] = NetworkPredictor(_in_fp32(found), device="cpu").predict([PROBE])
    apart = max(abs(ours.probabilities[code] - theirs.probabilities[code]) for code in ours.probabilities)
    if apart > tolerance or (tolerance == 0.0 and ours != theirs):
        raise RuntimeError(f"the exported model does not predict as its run does (probabilities differ by {apart:.1e})")


def _in_fp32(files: ModelFiles) -> ModelFiles:
    """In mixed precision weights that are added up beforehand are rounded otherwise."""
    return replace(files, recipe=replace(files.recipe, runtime=RuntimeRecipe("none")))


def put_in_place(aside: Path, out: Path, overwrite: bool) -> None:
    """Let a folder that is complete take its name, on the disk too.

    Args:
        aside: The folder, beside ``out``.
        out: Its name.
        overwrite: Whether what is there goes.
    """
    for path in aside.rglob("*"):
        if path.is_file() or path.is_dir():
            sync(path)
    sync(aside)
    old = out.with_name(f".{out.name}.{secrets.token_hex(4)}.old") if overwrite and out.exists() else None
    if old is not None:
        os.rename(out, old)
    try:
        os.rename(aside, out)
    except BaseException:
        if old is not None:
            os.rename(old, out)
        raise
    sync(out.parent)
    if old is not None:
        shutil.rmtree(old)
