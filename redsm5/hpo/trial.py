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
from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.hpo.messages import Ended, Task
from redsm5.metrics_csv import read_epochs
from redsm5.run.given import flat

KILLS = 2
"""How often a fit that was killed from outside goes on from its last checkpoint before the trial has failed."""
LOG = "log.txt"


@dataclass(frozen=True)
class Halved:
    """What the batches became after a fit ran out of memory.

    Attributes:
        options: Of ``redsm5 fit``, by dotted key.
    """

    options: dict[str, int]


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        ended: Of its last fit.
        value: Best value of the objective; None where no epoch ended.
        training: Facts about the training, as in ``training.json``; empty where it did not end.
        metrics: All metrics of the best epoch.
        halved: Each time memory was not enough.
        kills: How often it was killed and went on.
        seconds: Of wall time, of all its fits.
    """

    ended: Ended
    value: float | None
    training: dict[str, Any]
    metrics: dict[str, float]
    halved: tuple[Halved, ...]
    kills: int
    seconds: float


def run_attempt(
    args: Sequence[str],
    folder: Path,
    run_dir: Path,
    objective: str,
    mode: Literal["min", "max"],
    fit: Callable[[Task], Ended],
) -> Outcome:
    """Fit, until it ends otherwise than for want of memory or by a kill from outside.

    Args:
        args: Options of ``redsm5 fit``, without its folder.
        folder: Of the trial; the log goes there.
        run_dir: Folder of the run.
        objective: The metric.
        mode: Whether it is minimised or maximised.
        fit: Does a fit in a process of its own; returns ``killed`` also where the worker has ended it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    halved: list[Halved] = []
    kills = 0
    started = time.monotonic()
    options = list(args)
    while True:
        before = _oom_kills()
        ended = fit(Task(tuple(options), str(run_dir), objective, str(folder / LOG), time.monotonic()))
        if ended.how == "killed" and _oom_kills() > before:
            ended = replace(ended, how="out of memory", reason="out of memory")
        if ended.how == "out of memory" and (smaller := half_batches(run_dir)) is not None:
            halved.append(smaller)
            options = [*args, *(f"--{key}={value}" for key, value in smaller.options.items())]
            shutil.rmtree(run_dir)  # another batch is another run
            continue
        if ended.how == "killed" and ended.reason == "killed by SIGKILL" and kills < KILLS:
            kills += 1
            continue
        break
    training, metrics = _facts(run_dir, objective, mode)
    value = training.get("best_value", metrics.get(objective))
    seconds = time.monotonic() - started
    return Outcome(ended, value, training, metrics, tuple(halved), kills, seconds)


def half_batches(run_dir: Path) -> Halved | None:
    """Half of the batches of a run, with twice the accumulation; None where they cannot be halved, or are not known."""
    try:
        config = flat(yaml.safe_load((run_dir / "config.yaml").read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError):
        return None
    prefix = "data.batching.init_args."
    length = config["data.max_length"]
    options: dict[str, int] = {}
    for name, least in (("train", 1), ("eval", 1), ("train_tokens", length), ("eval_tokens", length)):
        size = config.get(prefix + name)
        if size is None:
            continue
        if size // 2 < least and name.startswith("train"):
            return None
        options[f"data.batching.{name}"] = max(size // 2, least)
    options["trainer.accumulate_grad_batches"] = 2 * config["trainer.accumulate_grad_batches"]
    return Halved(options)


def take_over(previous: Path, run_dir: Path) -> int | None:
    """Copy the folder of an attempt whose worker is gone: a stalled worker may still write into the old one.

    Returns:
        The last epoch whose end is in the newest whole checkpoint; None where there is none, and nothing is copied.
    """
    if run_dir.exists():  # of a worker that was killed while it copied
        shutil.rmtree(run_dir)
    if not (previous / "config.yaml").exists():
        return None
    last, _ = CheckpointFolder(previous / "checkpoints").take_last()
    if last is None:
        return None
    shutil.copytree(previous, run_dir, ignore=shutil.ignore_patterns(".*", "damaged-*"))
    return last.manifest.epoch if last.manifest.monitor is not None else last.manifest.epoch - 1


def write_config(folder: Path, run_dir: Path, refit: Path) -> None:
    """The config of a trial, as it ran: ``redsm5 fit --config`` fits it again, in a folder of its own."""
    config = run_dir / "config.yaml"
    if config.exists():
        resolved = yaml.safe_load(config.read_text(encoding="utf-8"))
        resolved["run_dir"] = str(refit)
        header = f"# redsm5 fit --config {folder / 'config.yaml'}\n"
        write_text_atomically(folder / "config.yaml", header + yaml.safe_dump(resolved, sort_keys=False))


def _oom_kills() -> int:
    """Processes that the kernel has killed for want of memory since the system was started; 0 where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _facts(run_dir: Path, objective: str, mode: str) -> tuple[dict[str, Any], dict[str, float]]:
    """What ``training.json`` says, and the metrics of the best epoch."""
    training, metrics = run_dir / "training.json", run_dir / "metrics.csv"
    facts: dict[str, Any] = json.loads(training.read_text(encoding="utf-8")) if training.exists() else {}
    epochs = read_epochs(metrics) if metrics.exists() else []
    if facts.get("best_epoch") is not None:
        epochs = [epoch for epoch in epochs if epoch["epoch"] == facts["best_epoch"]]
    scored = [epoch for epoch in epochs if objective in epoch]
    sign = 1 if mode == "min" else -1
    return facts, min(scored, key=lambda epoch: sign * epoch[objective]) if scored else {}
