"""One attempt at a trial: a fit in its folder, again with half the batch where memory was not enough."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from redsm5.atomic import write_text_atomically
from redsm5.cli import build_cli
from redsm5.errors import UserError
from redsm5.hpo.batches import Halved, batch_options, batches_of, smaller_after
from redsm5.hpo.messages import PRUNED, WITH_SERVER, WORKER_STOPPED, Ended, Task
from redsm5.hpo.retention import attempt_folders
from redsm5.hpo.usage import Usage
from redsm5.metrics_csv import read_epochs
from redsm5.run.folder import RunFolder
from redsm5.run.given import given_sources, merged
from redsm5.run.lightning_cli import resolved_yaml

KILLS = 2
"""How often a fit that was killed from outside goes on from its last checkpoint before the trial has failed."""
FROM_OUTSIDE = (*(f"killed by {name}" for name in ("SIGKILL", "SIGTERM", "SIGINT", "SIGUSR1")), WITH_SERVER)
"""Reasons of such ends; other signals are of its own making."""
BATCHES = "batches.json"
"""In the folder of an attempt: what the batches of its trial became, each time that memory was not enough."""
LOG = "log.txt"


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        args: Options of ``redsm5 fit``, without its folder; with what memory made of the batches.
        ended: Of its last fit.
        value: Best value of the objective; None where no epoch ended.
        training: Facts about the training, as in ``training.json``; empty where it did not end.
        metrics: All metrics of the best epoch.
        best_epoch: Its number; None where no epoch ended.
        epochs: How many ended.
        halved: Each time memory was not enough.
        kills: How often it was killed and went on.
        seconds: Of wall time, of all its fits, those of attempts that it goes on from included.
    """

    args: tuple[str, ...]
    ended: Ended
    value: float | None
    training: dict[str, Any]
    metrics: dict[str, float]
    best_epoch: int | None
    epochs: int
    halved: tuple[Halved, ...]
    kills: int
    seconds: float


def run_attempt(
    args: Sequence[str],
    folder: Path,
    run_dir: Path,
    objective: str,
    prune_by: str,
    mode: Literal["min", "max"],
    fit: Callable[[Task], Ended],
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Fit, until it ends otherwise than for want of memory or by a kill from outside.

    A run that is there already goes on with the batches that it was begun with, whatever the memory of this machine; a
    finished one is not fitted again.

    Args:
        args: Options of ``redsm5 fit``, without its folder.
        folder: Of the trial; the log goes there.
        run_dir: Folder of the run.
        objective: The metric.
        prune_by: The metric that the pruner compares.
        mode: Whether it is minimised or maximised.
        fit: Does a fit in a process of its own; returns ``killed`` also where the worker has ended it.
        tell: Shows a line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    halved = _halved_before(folder, run_dir)
    kills = 0
    started = time.monotonic() - Usage.of(run_dir).seconds  # as if it had run in one piece
    options = [*args, *batch_options({**_last(halved), **batches_of(run_dir)})]
    while True:
        if RunFolder(run_dir).is_finished:  # its worker was gone before it could tell
            ended = Ended("pruned" if (run_dir / PRUNED).exists() else "trained", memory_gb=Usage.of(run_dir).memory_gb)
            break
        asked = time.monotonic()
        log = str(folder / LOG)
        ended = fit(Task(tuple(options), str(run_dir), objective, prune_by, log, asked, asked - started))
        if (smaller := smaller_after(ended.how, run_dir, options)) is not None:
            halved.append(Halved({**_last(halved), **smaller.options}))
            tell(f"{run_dir} is out of memory: it starts over with {' '.join(batch_options(smaller.options))}")
            options = [*args, *batch_options(_last(halved))]
            _start_over(run_dir, halved)  # another batch is another run
            continue
        if ended.how == "differs":  # of another version of redsm5, or another machine: it cannot go on
            tell(f"{ended.detail.partition(';')[0]}: it starts over")
            options = [*args, *batch_options(_last(halved))]
            _start_over(run_dir, halved)
            continue
        if ended.how == "killed" and ended.reason == WORKER_STOPPED:  # no fault of it; the trial is this worker's yet
            continue
        if ended.how == "killed" and ended.reason in FROM_OUTSIDE and kills < KILLS:
            kills += 1
            continue
        break
    training, metrics, epochs = _facts(run_dir, objective, mode)
    best_epoch = training.get("best_epoch", int(metrics["epoch"]) if metrics else None)
    value = training.get("best_value", metrics.get(objective))
    seconds = time.monotonic() - started
    # A process that was killed could not tell.
    told = replace(ended, memory_gb=Usage.of(run_dir).memory_gb) if ended.memory_gb is None else ended
    return Outcome(tuple(options), told, value, training, metrics, best_epoch, epochs, tuple(halved), kills, seconds)


def _last(halved: Sequence[Halved]) -> dict[str, int]:
    """The batches as they are by now; empty where memory was enough."""
    return halved[-1].options if halved else {}


def _halved_before(folder: Path, run_dir: Path) -> list[Halved]:
    """What had to be done with the batches of a trial: of the run that goes on, else as the newest attempt knows."""
    begun = (run_dir / "config.yaml").exists()
    for path in [run_dir] if begun else attempt_folders(folder):
        if (kept := path / BATCHES).exists():
            return [Halved(options) for options in json.loads(kept.read_text(encoding="utf-8"))]
    return []


def _start_over(run_dir: Path, halved: Sequence[Halved]) -> None:
    """Remove a run, but for what its batches became: a worker that has lost the trial tells the next ones nothing."""
    if run_dir.exists():  # a stage of its pretraining is made before the fit has a folder
        shutil.rmtree(run_dir)
    if halved:
        run_dir.mkdir()
        write_text_atomically(run_dir / BATCHES, json.dumps([one.options for one in halved]) + "\n")


def config_text(folder: Path, run_dir: Path, refit: Path, args: Sequence[str]) -> str | None:
    """The config of a trial, as it ran or was to run: ``redsm5 fit --config`` fits it again, in a folder of its own.

    None where its options make no config, or are not known.

    Args:
        folder: Of the trial, in ``trials`` of the study.
        run_dir: Of the run; its config names the encoder that pretraining has left in a cache, which may be gone soon.
        refit: Folder of the run that the config makes.
        args: Options that the trial was fitted with; the config says as they do what is pretrained, and how. Empty
            where they are not known.
    """
    config = run_dir / "config.yaml"
    asked = {key: _value(value) for key, value in merged(given_sources(list(args))).items()}
    if config.exists():
        resolved = yaml.safe_load(config.read_text(encoding="utf-8"))
        for key in [key for key in asked if key.startswith("pretraining.")]:
            resolved["pretraining"][key.removeprefix("pretraining.")] = asked[key]
        if any(asked.get(f"pretraining.use_{kind}") for kind in ("dapt", "tapt")):
            for field in ("id", "revision", "random_weights"):
                if (key := f"model.encoder.{field}") in asked:
                    resolved["model"]["encoder"][field] = asked[key]
    elif not args:
        return None
    else:  # it failed before
        try:
            resolved = yaml.safe_load(resolved_yaml(build_cli(list(args), parse_only=True)))
        except UserError:
            return None
    resolved["run_dir"] = str(refit)
    config = folder / "config.yaml"
    again = config.relative_to(Path.cwd()) if config.is_relative_to(Path.cwd()) else config  # as run_dir is meant
    return f"# redsm5 fit --config {again}\n" + yaml.safe_dump(resolved, sort_keys=False)


def _value(given: Any) -> Any:
    """A value of a config file, or of an option, which is text."""
    return yaml.safe_load(given) if isinstance(given, str) else given


def _facts(run_dir: Path, objective: str, mode: str) -> tuple[dict[str, Any], dict[str, float], int]:
    """What ``training.json`` says, the metrics of the best epoch, and how many epochs ended."""
    training, metrics = run_dir / "training.json", run_dir / "metrics.csv"
    facts: dict[str, Any] = json.loads(training.read_text(encoding="utf-8")) if training.exists() else {}
    epochs = read_epochs(metrics) if metrics.exists() else []
    count = facts.get("epochs", len(epochs))
    if facts.get("best_epoch") is not None:
        epochs = [epoch for epoch in epochs if epoch["epoch"] == facts["best_epoch"]]
    scored = [epoch for epoch in epochs if objective in epoch]
    sign = 1 if mode == "min" else -1
    return facts, min(scored, key=lambda epoch: sign * epoch[objective]) if scored else {}, count
