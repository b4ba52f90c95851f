"""One candidate trained on one split with one seed, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from redsm5.atomic import write_text_atomically
from redsm5.callbacks.trackers import PACKAGES
from redsm5.children import end_with
from redsm5.confirm.models import Refit
from redsm5.errors import Diverged, UserError
from redsm5.run.folder import RunFolder
from redsm5.tracebacks import traceback_of

RESULT = "refit.json"
"""In the folder of a refit, written when it has ended."""
LOG = "log.txt"
"""In the same folder: what it printed."""


@dataclass(frozen=True)
class RefitTask:
    """What to train.

    Attributes:
        trial: Number of the trial in the search.
        config: Its config file.
        seed: Of the training.
        fold: Which one is tested.
        split_file: The split that leaves it out.
        folder: Of the refit.
        objective: The metric that the epoch is chosen by.
        gpu: The GPU to use, as CUDA_VISIBLE_DEVICES names it; None for those that there are.
        threads: Threads on the CPU, unless the config says so.
    """

    trial: int
    config: str
    seed: int
    fold: int
    split_file: str
    folder: str
    objective: str
    gpu: str | None = None
    threads: int | None = None

    @property
    def name(self) -> str:
        """In words."""
        return f"trial {self.trial}, seed {self.seed}, fold {self.fold}"

    @property
    def args(self) -> list[str]:
        """Options of its fit."""
        return [
            "--config", self.config, f"--seed_everything={self.seed}", f"--run_dir={self.folder}",
            f"--data.split_file={self.split_file}", "--data.folds=null", "--data.fold=null",
            *(f"--trackers.{name}=false" for name in PACKAGES),
        ]  # fmt: skip


def read_refit(folder: Path) -> Refit | None:
    """What a refit came to; None where it has not ended."""
    path = folder / RESULT
    return Refit.model_validate_json(path.read_bytes()) if path.exists() else None


def serve(task: RefitTask, pipe: Connection) -> None:
    """Train and evaluate, leave the result in the folder, and send None, or the sentence why there is none."""
    from redsm5.hpo.child import print_into

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent ends this one
    end_with(pipe)
    if task.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = task.gpu
    folder = Path(task.folder)
    folder.mkdir(parents=True, exist_ok=True)
    print_into(str(folder / LOG))
    try:
        pipe.send(_refit(task, folder))
    except UserError as error:
        pipe.send(str(error))
    except Exception as error:
        print(traceback_of(error), flush=True)
        pipe.send(f"it crashed ({type(error).__name__}); the traceback is in {folder / LOG}")


def _refit(task: RefitTask, folder: Path) -> str | None:
    import torch

    from redsm5.run import fit
    from redsm5.run.evaluation import run_on_part

    if task.threads is not None:
        torch.set_num_threads(task.threads)
    run, failed = RunFolder(folder), ""
    try:
        if not run.is_finished and (code := fit.run(task.args)):
            return f"it ended with exit code {code}; {folder / LOG} says why"
        run_on_part([str(folder)], "test")
    except Diverged as error:
        failed = str(error)
    _keep(folder, _result(task, run, failed))
    return None


def _result(task: RefitTask, run: RunFolder, failed: str) -> Refit:
    from redsm5.report.writing import read_report

    facts = json.loads(run.training.read_text(encoding="utf-8")) if run.training.exists() else {}
    value = None
    if not failed:
        scored = read_report(run.report).evaluations["test"].scalars()
        value = scored.get(task.objective.removeprefix("val_"))
    return Refit(
        trial=task.trial,
        seed=task.seed,
        fold=task.fold,
        failed=failed,
        value=value,
        val_value=facts.get("best_value"),
        best_epoch=facts.get("best_epoch"),
        epochs=facts.get("epochs", 0),
        seconds=facts.get("seconds", 0.0),
    )


def _keep(folder: Path, result: Refit) -> None:
    """The result first, then nothing that only a training needs, or that shows posts."""
    write_text_atomically(folder / RESULT, result.model_dump_json(indent=2) + "\n")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for page in folder.glob("view-*.html"):
        page.unlink(missing_ok=True)
