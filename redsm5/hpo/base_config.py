"""The config that all trials of a study start from, and where its files lie on this machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from redsm5.atomic import write_text_atomically
from redsm5.children import driver_asked
from redsm5.cli import build_cli
from redsm5.errors import UserError
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.space.space import Choices, Fixed, Parameter, Space
from redsm5.run.folder import RESUME_KEYS, is_one_of
from redsm5.run.given import given_options, given_sources, merged
from redsm5.run.lightning_cli import resolved_yaml

BASE = "base.yaml"
"""In the folder of a study: the config that all trials start from, as the study was begun."""
ENCODER = "model.encoder.id"
THREADS = "runtime.threads"
MONITOR = "early_stopping.monitor"
ACCELERATOR = "trainer.accelerator"
ONE_DEVICE = {"devices": 1, "num_nodes": 1}
"""Of the Trainer: with more, Lightning would start the command once more for each, and that is the search."""
CHECKPOINTS = {"keep_last": 1, "keep_best": 1}
"""Of the checkpoints of a trial."""
OWN = {
    MONITOR: "each trial keeps its best epoch by the objective: give --objective",
    **{f"checkpoint.{name}": "of a trial its last state and its best weights are kept: --keep says of how many trials "
       "the weights stay" for name in CHECKPOINTS},
    "tune_batch": "batches come from the calibration of the encoders: see redsm5 tune-batch",
    "fresh": "trials that had begun go on: --study-dir NEW begins a new study",
    "run_dir": "trials have their folders in that of the study: give --study-dir",
}  # fmt: skip
"""What a search decides itself, and why."""


def base_config(settings: HpoSettings, args: Sequence[str], space: Space) -> dict[str, Any]:
    """The resolved config of all trials; its encoder is the first one that can be drawn.

    Args:
        settings: How to search.
        args: Options of ``redsm5 fit`` that all trials share.
        space: What is searched.

    Raises:
        UserError: It is wrong, has no corpus, asks for several devices, or an option asks for what a search decides.
    """
    _refuse_own(settings, args)
    encoders = [choice for p in space.by_path.get(ENCODER, ()) for choice in _values(p)]
    first = [f"--{ENCODER}={encoders[0]}"] if encoders else []
    cli = build_cli([*first, *args, f"--{MONITOR}={settings.objective}"], parse_only=True)
    if cli.config.data.path is None and cli.config.data.posts is None:
        raise UserError("a search needs a corpus; name it with --data.path FOLDER")
    for name in ONE_DEVICE:
        value = cli.config.trainer[name]
        if value not in (1, "auto"):
            raise UserError(
                f"trainer.{name} is {value}, and a trial of a search runs on one device; leave it out, and let "
                "--workers say how many trials run at a time"
            )
    config: dict[str, Any] = yaml.safe_load(resolved_yaml(cli))
    config["trainer"] |= ONE_DEVICE
    config["checkpoint"] |= CHECKPOINTS
    if THREADS not in merged(given_sources(list(args))):
        config["runtime"]["threads"] = None  # each worker has its share of its machine
    return config


def _refuse_own(settings: HpoSettings, args: Sequence[str]) -> None:
    """Refuse options that would do nothing; config files may hold such keys, for a fit reads the same ones."""
    ours = {MONITOR: settings.objective, **{f"checkpoint.{name}": value for name, value in CHECKPOINTS.items()}}
    given = given_options(list(args))
    for key, why in OWN.items():
        if key in given and (key not in ours or str(given[key]) != str(ours[key])):
            raise UserError(f"--{key} means nothing to a search, and {why}")


def with_places(begun: dict[str, Any], here: dict[str, Any]) -> dict[str, Any]:
    """The config that a study was begun with, and where files lie now, on this machine.

    Args:
        begun: Of the study; an earlier version left the devices of a trial open.
        here: As this command has it.
    """
    places = {key: value for key, value in here["data"].items() if is_one_of(f"data.{key}", RESUME_KEYS)}
    return {**begun, "data": {**begun["data"], **places}, "trainer": {**begun["trainer"], **ONE_DEVICE}}


def written(folder: Path, config: dict[str, Any], name: str = BASE) -> Path:
    """A config as a file.

    Args:
        folder: To write to.
        config: The config.
        name: Of the file.
    """
    text = yaml.safe_dump(config, sort_keys=False)
    path = folder / name
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text_atomically(path, text)
    return path


def base_file(folder: Path, begun: dict[str, Any], here: dict[str, Any]) -> Path:
    """The file that trials of this machine start from: where files lie elsewhere, it is one of its own.

    Several machines share the folder; a file that one of them changed would send the others' trials to its paths. So
    the name of a file goes by its content.

    Args:
        folder: Of the study.
        begun: The config that it was begun with.
        here: With the places of this machine.
    """
    path = written(folder, with_places(begun, begun))
    if here == with_places(begun, begun):
        return path
    content = yaml.safe_dump(here, sort_keys=False).encode()
    return written(folder, here, f"base-{hashlib.sha256(content).hexdigest()[:12]}.yaml")


def on_cpu(args: Sequence[str]) -> bool:
    """Whether trials run on the CPU, whatever GPUs there are; known before anything is parsed.

    Args:
        args: Options of ``redsm5 fit`` that all trials share.
    """
    return merged(given_sources(list(args))).get(ACCELERATOR) == "cpu"


def gpus() -> int:
    """How many there are, without beginning to use one."""
    with driver_asked():
        return torch.cuda.device_count()


def _values(parameter: Parameter) -> tuple[Any, ...]:
    found = parameter.distribution
    return found.values if isinstance(found, Choices) else (found.value,) if isinstance(found, Fixed) else ()
