"""``redsm5 fit``: train, keep the best epoch, evaluate it on the validation part. The test part is never touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console

from redsm5.atomic import write_text_atomically
from redsm5.callbacks.checkpoint_io import AtomicCheckpointIO
from redsm5.callbacks.learning_rates import LearningRates
from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.callbacks.plateau import Plateau
from redsm5.callbacks.progress import progress
from redsm5.callbacks.random_state import RandomState
from redsm5.callbacks.run_events import RunEvents
from redsm5.callbacks.throughput import Throughput
from redsm5.checkpoint_file import read_checkpoint
from redsm5.cli import build_cli
from redsm5.logs import event, run_logs
from redsm5.run.crash import crash_logs_go_to
from redsm5.run.evaluation import evaluate_part, interruptible
from redsm5.run.folder import RunFolder, refuse_inputs
from redsm5.run.lightning_cli import ReDSM5CLI, resolved_yaml
from redsm5.run.lock import run_lock
from redsm5.run.tracking import send_backlog, tracking_of


def run(args: list[str]) -> int:
    """Parse, train, evaluate, report; returns the exit code."""
    cli = build_cli(args, command="fit")
    cli.config_init.trackers.refuse_missing()
    folder = RunFolder.named(cli.config.run_dir)
    refuse_inputs(folder, cli.config)
    with run_lock(folder.path), run_logs(folder.path, "fit"):
        resume_from = folder.prepare(resolved_yaml(cli), overwrite=cli.config.overwrite)
        crash_logs_go_to(folder.path, cli.post_texts)
        cli.datamodule.split_manifest = str(folder.split)
        if folder.training.exists():
            send_backlog(cli, folder)
        else:
            if resume_from is None or not has_stopped(resume_from):
                train(cli, folder, resume_from)
            if cli.is_global_zero:
                facts = training_facts(folder, cli.config_init.early_stopping.monitor)
                write_text_atomically(folder.training, json.dumps(facts, indent=2) + "\n")
        evaluate_part(cli, folder, "val", console=Console(), tune=True)
    return 0


def train(cli: ReDSM5CLI, folder: RunFolder, resume_from: Path | None) -> None:
    """Train to the end, from the start or from a checkpoint."""
    option = cli.config_init.early_stopping
    best = ModelCheckpoint(
        dirpath=folder.checkpoints,
        filename=folder.best.stem,
        monitor=option.monitor,
        mode=option.mode,
        save_weights_only=True,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(dirpath=folder.checkpoints, filename=folder.last.stem, enable_version_counter=False)
    trainer = cli.make_trainer(
        Throughput(),
        option.build(),
        RandomState(),
        Plateau(),
        LearningRates(),
        MetricsFile(folder.metrics),
        tracking_of(cli, folder),
        best,
        last,
        RunEvents(option.monitor),
        *progress(option.monitor),
        default_root_dir=str(folder.path),
        plugins=[AtomicCheckpointIO()],
    )
    if resume_from is not None:
        print(f"going on from {resume_from}", flush=True)
        event("going on", checkpoint=str(resume_from))
    with interruptible():
        trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=resume_from, weights_only=True)


def has_stopped(last: Path) -> bool:
    """Whether early stopping had ended the training that a checkpoint is of: Lightning would train on."""
    state = _callback_state(read_checkpoint(last), "EarlyStopping")
    return bool(state["wait_count"] >= state["patience"])


def training_facts(folder: RunFolder, monitor: str) -> dict[str, Any]:
    """How the training went, from its last checkpoint, whichever process wrote it."""
    last, best = read_checkpoint(folder.last), read_checkpoint(folder.best)
    throughput = _callback_state(last, "Throughput")
    score = _callback_state(last, "ModelCheckpoint", monitor=monitor)["best_model_score"]
    seconds = throughput["seconds"]
    return {
        "epochs": int(last["epoch"]) + 1,
        "best_epoch": int(best["epoch"]),
        "monitor": monitor,
        "best_value": None if score is None else float(score),
        "stopped_early": has_stopped(folder.last),
        "seconds": throughput["fit_seconds"],
        "tokens_per_second": throughput["tokens"] / seconds if seconds > 0 else None,
    }


def _callback_state(checkpoint: dict[str, Any], name: str, **values: str) -> dict[str, Any]:
    """The state of a callback; Lightning's keys begin with its class and may hold its settings."""
    for key, state in checkpoint["callbacks"].items():
        if key.startswith(name) and all(state.get(field) == value for field, value in values.items()):
            found: dict[str, Any] = state
            return found
    raise KeyError(f"the checkpoint holds no state of {name}")
