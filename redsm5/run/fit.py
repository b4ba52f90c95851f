"""``redsm5 fit``: train, keep the best epoch, evaluate it on the validation part. The test part is never touched."""

from __future__ import annotations

import json
import time
from pathlib import Path

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from rich.console import Console

from redsm5.atomic import write_text_atomically
from redsm5.callbacks.checkpoint_io import AtomicCheckpointIO
from redsm5.callbacks.learning_rates import LearningRates
from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.callbacks.plateau import Plateau
from redsm5.callbacks.progress import progress
from redsm5.callbacks.random_state import RandomState
from redsm5.callbacks.throughput import Throughput
from redsm5.cli import build_cli
from redsm5.run.crash import crash_logs_go_to
from redsm5.run.evaluation import evaluate_part
from redsm5.run.folder import RunFolder
from redsm5.run.lightning_cli import ReDSM5CLI, resolved_yaml


def run(args: list[str]) -> int:
    """Parse, train, evaluate, report; returns the exit code."""
    cli = build_cli(args, command="fit")
    folder = RunFolder(Path(cli.config.run_dir).absolute())
    resume_from = folder.prepare(resolved_yaml(cli), overwrite=cli.config.overwrite)
    crash_logs_go_to(folder.path)
    cli.datamodule.split_manifest = str(folder.split)
    if not folder.training.exists():
        train(cli, folder, resume_from)
    evaluate_part(cli, folder, "val", console=Console())
    return 0


def train(cli: ReDSM5CLI, folder: RunFolder, resume_from: Path | None) -> None:
    """Train to the end, from the start or from a checkpoint, and write ``training.json``."""
    option = cli.config_init.early_stopping
    stopping: EarlyStopping = option.build()
    best = ModelCheckpoint(
        dirpath=folder.checkpoints,
        filename=folder.best.stem,
        monitor=option.monitor,
        mode=option.mode,
        save_weights_only=True,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(dirpath=folder.checkpoints, filename=folder.last.stem, enable_version_counter=False)
    throughput = Throughput()
    trainer = cli.make_trainer(
        throughput,
        stopping,
        RandomState(),
        Plateau(),
        LearningRates(),
        MetricsFile(folder.metrics),
        best,
        last,
        *progress(option.monitor),
        default_root_dir=str(folder.path),
        plugins=[AtomicCheckpointIO()],
    )
    if resume_from is not None:
        print(f"going on from {resume_from}", flush=True)
    started = time.monotonic()
    try:
        trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=resume_from, weights_only=True)
    except SystemExit as exit_:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from exit_
    facts = {
        "epochs": trainer.current_epoch,
        "best_epoch": best_epoch(folder),
        "monitor": option.monitor,
        "best_value": None if best.best_model_score is None else float(best.best_model_score),
        "stopped_early": stopping.stopped_epoch > 0,
        "seconds": time.monotonic() - started,
        "tokens_per_second": throughput.tokens_per_second,
    }
    write_text_atomically(folder.training, json.dumps(facts, indent=2) + "\n")


def best_epoch(folder: RunFolder) -> int:
    """The epoch, counted from 0, that the best checkpoint was written after."""
    return int(AtomicCheckpointIO().load_checkpoint(folder.best)["epoch"])
