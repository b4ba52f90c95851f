"""``redsm5 fit``: train, keep the best epoch, evaluate it on the validation part. The test part is never touched."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Callback
from rich.console import Console

from redsm5.atomic import write_text_atomically
from redsm5.callbacks.checkpoints import Checkpoints
from redsm5.callbacks.learning_rates import LearningRates
from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.callbacks.plateau import Plateau
from redsm5.callbacks.progress import progress
from redsm5.callbacks.random_state import RandomState
from redsm5.callbacks.run_events import RunEvents
from redsm5.callbacks.stop_signals import RunStopped, StopSignals
from redsm5.callbacks.throughput import Throughput
from redsm5.cli import build_cli
from redsm5.errors import OutOfMemory
from redsm5.logs import event, run_logs
from redsm5.pretraining.resolve import PretrainingEnded, in_fresh_process, keep_record, with_pretrained_encoder
from redsm5.run.crash import crash_logs_go_to
from redsm5.run.evaluation import evaluate_part, interruptible, plugins
from redsm5.run.folder import RunFolder, refuse_inputs
from redsm5.run.lightning_cli import ReDSM5CLI, resolved_yaml
from redsm5.run.lock import run_lock
from redsm5.run.memory import ADVICE, is_out_of_memory
from redsm5.run.tracking import send_backlog, tracking_of
from redsm5.run.tuned_batch import with_batches


def run(args: list[str], *watchers: Callback, make_stage: Callable[[list[str]], int] = in_fresh_process) -> int:
    """Parse, train, evaluate, report; returns the exit code.

    Args:
        args: Config options, as on the command line.
        watchers: Callbacks of who started the fit; they come before those that write checkpoints.
        make_stage: ``redsm5 pretrain`` with these arguments in another process; returns its exit code.
    """
    try:
        args = with_pretrained_encoder(args, make_stage)  # first: batches are found for the encoder of the fit
    except PretrainingEnded as ended:
        return ended.code
    cli = build_cli(with_batches(args), command="fit")
    cli.config_init.trackers.refuse_missing()
    folder = RunFolder.named(cli.config.run_dir)
    refuse_inputs(folder, cli.config)
    with run_lock(folder.path), run_logs(folder.path, "fit"):
        if cli.config.fresh and folder.config.exists():
            copy.copy(cli.datamodule).setup()  # what is there goes only when the corpus can be read
        folder.prepare(resolved_yaml(cli), fresh=cli.config.fresh)
        keep_record(cli.config.model.encoder.id, folder.path)
        crash_logs_go_to(folder.path, cli.post_texts)
        cli.datamodule.split_manifest = str(folder.split)
        if folder.training.exists() and not folder.kept.is_empty():
            send_backlog(cli, folder)
        else:
            resume_from = folder.resume_from()
            if resume_from is None and folder.metrics.exists():
                print(f"{folder.path} holds no state to go on from: the training starts over", flush=True)
            try:
                facts = train(cli, folder, resume_from, *watchers)
            except RunStopped as stopped:
                print(stopped, file=sys.stderr, flush=True)
                event("stopped", reason=str(stopped), signal=stopped.number)
                return 128 + stopped.number
            if cli.is_global_zero:
                write_text_atomically(folder.training, json.dumps(facts, indent=2) + "\n")
        evaluate_part(cli, folder, "val", console=Console(), tune=True)
    return 0


def train(cli: ReDSM5CLI, folder: RunFolder, resume_from: Path | None, *watchers: Callback) -> dict[str, Any]:
    """Train to the end, from the start or from a checkpoint, which may be the last of a training that has ended.

    Returns:
        How the training went: the fields of ``TrainingInfo``.

    Raises:
        RunStopped: It was asked to stop, and its state is saved.
        OutOfMemory: Memory was not enough.
        UserError: The disk is full, or the training diverged.
    """
    option = cli.config_init.early_stopping
    throughput, stopping, signals = Throughput(), option.build(), StopSignals()
    checkpoints = Checkpoints(
        folder.kept, cli.config_init.checkpoint, monitor=option.monitor, mode=option.mode, signals=signals
    )
    trainer = cli.make_trainer(
        throughput,
        stopping,
        RandomState(),
        Plateau(),
        LearningRates(),
        MetricsFile(folder.metrics),
        signals,
        checkpoints,
        tracking_of(cli, folder),
        RunEvents(option.monitor),
        *progress(option.monitor),
        *watchers,
        default_root_dir=str(folder.path),
        plugins=plugins(),
    )
    if resume_from is not None:
        print(f"going on from {resume_from}", flush=True)
        event("going on", checkpoint=str(resume_from))
    try:
        with interruptible():
            trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=resume_from, weights_only=True)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"out of memory: {ADVICE}; with another config add --fresh, or choose another --run_dir"
        ) from error
    best = folder.kept.best()
    return {
        # Finished epochs; Lightning's own count lacks the last one where the training had ended before.
        "epochs": cast(Any, trainer.fit_loop.epoch_progress.current).processed,
        "best_epoch": None if best is None else best.manifest.epoch,
        "monitor": option.monitor,
        "tied_epochs": _tied(folder),
        "best_value": None if best is None else best.manifest.value,
        "stopped_early": stopping.has_stopped,
        "seconds": throughput.fit_seconds,
        "tokens_per_second": throughput.tokens_per_second,
        "checkpoints": checkpoints.state_dict(),
    }


def _tied(folder: RunFolder) -> list[int]:
    """Epochs whose weights are kept beside the best ones and are as good in the monitored metric."""
    best, others = folder.kept.best(), folder.kept.entries("weights")
    if best is None:
        return []
    found = {entry.manifest.epoch for entry in others if entry.manifest.value == best.manifest.value}
    return sorted(found - {best.manifest.epoch})
