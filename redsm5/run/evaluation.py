"""Evaluates a run's best checkpoint on one part and writes what comes of it."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from rich.console import Console

from redsm5.atomic import write_text_atomically
from redsm5.callbacks.checkpoint_io import FolderCheckpointIO
from redsm5.cli import build_cli
from redsm5.errors import UserError
from redsm5.logs import event, run_logs
from redsm5.metrics.evaluate import evaluate
from redsm5.metrics.thresholds import fit_thresholds, threshold_of
from redsm5.report.tables import evaluation_tables
from redsm5.run.crash import crash_logs_go_to
from redsm5.run.folder import RunFolder, differing_keys, is_one_of
from redsm5.run.given import given_configs
from redsm5.run.lightning_cli import resolved_yaml
from redsm5.run.lock import run_lock
from redsm5.run.predictions import prediction_lines
from redsm5.run.reporting import update_report
from redsm5.run.seals import check_seals, note_edits, seal
from redsm5.run.tracking import send_backlog
from redsm5.run.view import write_run_view

if TYPE_CHECKING:
    from redsm5.metrics.records import PredictedPost
    from redsm5.run.lightning_cli import ReDSM5CLI

Part = Literal["val", "test"]

FREE_KEYS = (
    "run_dir", "fresh", "checkpoint", "runtime.threads", "trainer.accelerator", "trainer.devices", "trainer.num_nodes",
    "trainer.strategy", "data.path", "data.posts", "data.annotations", "data.criteria", "data.split_file",
    "data.cache_dir", "data.workers", "data.batching", "trackers",
)  # fmt: skip
"""What may differ from the config of a run that is evaluated: where it runs and where its files lie now. Another corpus
is refused by its hash."""


def run_on_part(args: list[str], part: Part, *, all_spans: bool = False) -> int:
    """``redsm5 validate`` and ``redsm5 test``: a run folder, or ``--config RUN/config.yaml``, and overrides.

    Args:
        args: The command line.
        part: The part.
        all_spans: As for ``evaluate_part``.
    """
    cli, folder = open_run(args, command="validate" if part == "val" else "test")
    with run_lock(folder.path), run_logs(folder.path, "validate" if part == "val" else "test"):
        again = part == "test" and folder.predictions("test").exists()
        evaluate_part(cli, folder, part, console=Console(), all_spans=all_spans)
        send_backlog(cli, folder)
        if again:
            print("the test part had been evaluated before; its figures were replaced", file=sys.stderr)
    return 0


def open_run(args: list[str], *, command: str) -> tuple[ReDSM5CLI, RunFolder]:
    """Parse the config of a run that has been trained.

    Raises:
        UserError: There is no such run, or it has not been trained to its end.
    """
    if args and not args[0].startswith("-"):
        args = ["--config", str(RunFolder(Path(args[0])).config), *args[1:]]
    if "--help" not in args and not any(a.startswith("--config") for a in args):
        raise UserError(f"name the run: redsm5 {command} RUN_DIR, or --config RUN_DIR/config.yaml")
    cli = build_cli(args, command=command)
    # Where the run lies now, not where it was made: it may have been copied or moved.
    folder = RunFolder.of_config(Path(given_configs(args)[0]))
    if not folder.checkpoints.is_dir():  # not the config of a run, but one that it was started with
        folder = RunFolder.named(cli.config.run_dir)
    if not folder.training.exists():
        raise UserError(f"{folder.path} holds no finished training; run redsm5 fit with this config first")
    folder.best_checkpoint()
    check_seals(folder)
    changed = [
        key for key in differing_keys(folder.config.read_text(), resolved_yaml(cli)) if not is_one_of(key, FREE_KEYS)
    ]
    if changed:
        raise UserError(
            f"{changed[0]} differs from the run in {folder.path}, and redsm5 {command} evaluates it as it was trained; "
            f"what can be set is {', '.join(FREE_KEYS)}"
        )
    crash_logs_go_to(folder.path, cli.post_texts)
    cli.datamodule.split_manifest = str(folder.split)
    return cli, folder


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C as Python has it: Lightning makes a ``SystemExit`` of it, and leaves the signal ignored."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as exit_:
        raise KeyboardInterrupt from exit_
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def plugins() -> list[Any]:
    """What of Lightning's is replaced: checkpoints, and its own handling of Slurm's signals."""
    ours: list[Any] = [FolderCheckpointIO()]
    if SLURMEnvironment.detect():
        ours.append(SLURMEnvironment(auto_requeue=False))
    return ours


def predict_part(cli: ReDSM5CLI, folder: RunFolder, part: Part) -> list[PredictedPost]:
    """Predictions of the best checkpoint on a part, in the order of the corpus.

    A fit that keeps no weights predicts with those that it has ended with: those of its last state, where it has
    ended in another process.
    """
    best = folder.kept.best() or next(reversed(folder.kept.entries("resume")), None)
    trainer = cli.make_trainer(plugins=plugins(), default_root_dir=str(folder.path))
    stage = trainer.validate if part == "val" else trainer.test
    path = None if best is None else best.path
    stage(cli.model, datamodule=cli.datamodule, ckpt_path=path, weights_only=True, verbose=False)
    return cli.model.predicted[part]


def evaluate_part(
    cli: ReDSM5CLI, folder: RunFolder, part: Part, *, console: Console, tune: bool = False, all_spans: bool = False
) -> None:
    """Predict, evaluate and write: predictions, report, view page, tables.

    Args:
        cli: The run.
        folder: Its folder.
        part: The part.
        console: For the tables.
        tune: Tune the thresholds on this part and keep them, instead of those that the fit has tuned.
        all_spans: Write the candidates below null too: hit@1 and MRR rank them, so that both can be computed again.
    """
    with interruptible():
        predicted = predict_part(cli, folder, part)
    if not cli.is_global_zero:
        return
    data = cli.datamodule
    gold = data.gold(part)
    if tune:
        thresholds = fit_thresholds(gold, predicted)
        criteria = [{"code": c.code, "title": c.title, "text": c.text} for c in data.corpus.criteria]
        write_text_atomically(folder.criteria, json.dumps(criteria, indent=2, ensure_ascii=False) + "\n")
        tuned = dict(zip(data.codes, thresholds, strict=True))
        write_text_atomically(folder.thresholds, json.dumps(tuned, indent=2) + "\n")
        seal(folder, folder.config, folder.split, folder.criteria, folder.training, folder.metrics, folder.thresholds)
    else:
        thresholds = read_thresholds(folder, data.codes)
        note_edits(folder)
    evaluation = evaluate(gold, predicted, data.codes, thresholds, seed=cli.config.seed_everything)
    lines = prediction_lines(predicted, data.codes, thresholds, min_score=-math.inf if all_spans else 0.0)
    write_text_atomically(folder.predictions(part), lines, mode=0o600)
    seal(folder, folder.predictions(part))
    update_report(cli, folder, part, evaluation, thresholds)
    page = write_run_view(folder, part, corpus=data.corpus)
    scalars = evaluation.scalars()
    named = {name: scalars[name] for name in ("f1_macro", "tuned_f1_macro", "hit_at_1") if name in scalars}
    event("evaluated", part=part, posts=evaluation.posts, **named)
    for table in evaluation_tables(evaluation, {c.code: c.title for c in data.corpus.criteria}):
        console.print(table)
    console.print(f"report: {folder.report}\nview page: {page}", soft_wrap=True)


def read_thresholds(folder: RunFolder, codes: tuple[str, ...]) -> tuple[float, ...]:
    """The thresholds tuned when the run was fitted, in the order of the outputs.

    Raises:
        UserError: They are missing, damaged, or for other criteria.
    """
    try:
        tuned = json.loads(folder.thresholds.read_text(encoding="utf-8"))
        if set(tuned) != set(codes):
            raise UserError(f"{folder.thresholds} is for other criteria than the corpus; use the corpus of the fit")
        return tuple(threshold_of(tuned[code]) for code in codes)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{folder.thresholds} is missing or damaged; run redsm5 fit --config {folder.config} to its end"
        ) from error
