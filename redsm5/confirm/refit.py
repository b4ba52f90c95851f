"""One candidate trained on one split with one seed, in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from pydantic import ValidationError

from redsm5.atomic import write_text_atomically
from redsm5.callbacks.trackers import PACKAGES
from redsm5.children import end_with, forked
from redsm5.confirm.metric import metric_of
from redsm5.confirm.models import Refit
from redsm5.confirm.sameness import Of
from redsm5.datamodules.split_choice import SplitChoice
from redsm5.errors import MachineFault
from redsm5.hpo.messages import Ended, Stage
from redsm5.hpo.trial_process import code_of_stage, oom_kills
from redsm5.metrics.evaluation import Frozen
from redsm5.run.folder import RunFolder
from redsm5.run.lock import FolderHeld

BEGUN = "begun.json"
"""In the folder of a refit, before anything else: what it is of."""
RESULT = "refit.json"
"""In the same folder, written when it has ended."""
LOG = "log.txt"
"""In the same folder: what it printed."""
KEPT = ("trained", "diverged")
"""Endings that another try would not change; their result is kept."""
GOES_ON = ("killed", "crashed")
"""Failures after which another call goes on from the checkpoints."""
NOT_OF_STUDY = (
    "--data.folds=null", "--data.fold=null", f"--data.fractions={list(SplitChoice.fractions)}",
    f"--data.split_seed={SplitChoice.seed}", f"--data.group_by={SplitChoice.group_by}",
)  # fmt: skip
"""How the study was split: a fit refuses such a setting beside a split file. The folds honour ``group_by``."""


class Begun(Frozen):
    """``begun.json``."""

    of: Of
    halvings: int
    batches: tuple[str, ...] = ()


class Kept(Frozen):
    """``refit.json``."""

    of: Of
    refit: Refit


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
        of: What decides it; what is there of something else is not used.
        gpu: The GPU to use, as CUDA_VISIBLE_DEVICES names it; None for those that there are.
        threads: Threads on the CPU, unless the config says so.
        places: Options of ``redsm5 fit`` that say where the files of the corpus lie here.
        batches: What memory has made of the batches: options of ``redsm5 fit``.
        halvings: How often it did.
    """

    trial: int
    config: str
    seed: int
    fold: int
    split_file: str
    folder: str
    objective: str
    of: Of
    gpu: str | None = None
    threads: int | None = None
    places: tuple[str, ...] = ()
    batches: tuple[str, ...] = ()
    halvings: int = 0

    @property
    def name(self) -> str:
        """In words."""
        return f"trial {self.trial}, seed {self.seed}, fold {self.fold}"

    @property
    def args(self) -> list[str]:
        """Options of its fit."""
        return [
            "--config", self.config, f"--seed_everything={self.seed}", f"--run_dir={self.folder}", *self.files,
            *NOT_OF_STUDY,
            *(f"--trackers.{name}=false" for name in PACKAGES), *self.batches,
        ]  # fmt: skip

    @property
    def files(self) -> list[str]:
        """Options that say where the files lie that it reads; its own config may be of before they were moved."""
        return [*self.places, f"--data.split_file={self.split_file}"]

    def failed(self, why: str) -> Refit:
        """The result where there is none."""
        return Refit(
            trial=self.trial,
            seed=self.seed,
            fold=self.fold,
            failed=why,
            value=None,
            val_value=None,
            best_epoch=None,
            epochs=0,
            seconds=0.0,
            halvings=self.halvings,
        )


def read_refit(task: RefitTask) -> Refit | None:
    """What a refit came to; None where it has not ended, or was one of something else.

    A process may have been killed between its result and the removal of what shows posts: that is made good.
    """
    path = Path(task.folder) / RESULT
    try:
        kept = Kept.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    if kept.of != task.of:
        return None
    clean_up(path.parent)
    return kept.refit


def make_folder(task: RefitTask) -> Begun | None:
    """See that the folder of a refit holds nothing of another one.

    Returns:
        How this one was begun, where a run of it is there.
    """
    folder, path = Path(task.folder), Path(task.folder) / BEGUN
    try:
        begun = Begun.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        begun = None
    if begun is not None and begun.of == task.of and (folder / "config.yaml").exists():
        return begun
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begun = Begun(of=task.of, halvings=task.halvings, batches=task.batches)
    write_text_atomically(path, begun.model_dump_json() + "\n")
    return None


def clean_up(folder: Path, *, goes_on: bool = False) -> None:
    """Remove of a refit that has ended the pages, which show posts, and the checkpoints, unless it goes on from them.

    Raises:
        OSError: A page cannot be removed.
    """
    if not goes_on:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    for page in folder.glob("view-*.html"):
        page.unlink(missing_ok=True)


def serve(task: RefitTask, pipe: Connection) -> None:
    """Train and evaluate, leave the result in the folder, and send how it ended."""
    from redsm5.hpo.child import ending_of, forget_ranks, print_into

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent ends this one
    end_with(pipe)
    forget_ranks()
    if task.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = task.gpu
    folder = Path(task.folder)
    print_into(str(folder / LOG))
    how, reason, detail = ending_of(lambda: _refit(task, folder), str(folder / LOG))
    if how in KEPT:
        failed = detail if how == "diverged" else ""
        kept = ending_of(lambda: _keep(task, folder, failed), str(folder / LOG))
        if kept[0] != "trained":
            how, reason, detail = kept
    pipe.send(Ended(how, reason, detail))


def _refit(task: RefitTask, folder: Path) -> int:
    import torch

    from redsm5.run import fit
    from redsm5.run.evaluation import run_on_part

    if task.threads is not None:
        torch.set_num_threads(task.threads)
    try:
        if not RunFolder(folder).is_finished:
            code = fit.run(task.args, make_stage=lambda stage: make_stage(stage, str(folder / LOG)))
            if code:
                return code
        return run_on_part([str(folder), *task.files], "test", all_spans=True)
    except FolderHeld as error:  # by a training that has not yet seen that its parent is gone: no fault of this one
        raise MachineFault(str(error)) from error


def make_stage(args: list[str], log: str) -> int:
    """Make a stage of pretraining in a process that ends with this one, on its GPU; the exit code.

    Args:
        args: Options of ``redsm5 pretrain``.
        log: File for all that it prints.
    """
    from redsm5.hpo.child import serve_stage

    killed = oom_kills()
    with forked(serve_stage, Stage(tuple(args)), log) as (process, pipe):
        return code_of_stage(process, pipe, killed)


def _keep(task: RefitTask, folder: Path, failed: str) -> int:
    result = _result(task, RunFolder(folder), failed)
    write_text_atomically(folder / RESULT, Kept(of=task.of, refit=result).model_dump_json(indent=2) + "\n")
    clean_up(folder)
    return 0


def _result(task: RefitTask, run: RunFolder, failed: str) -> Refit:
    from redsm5.report.writing import read_report

    facts = json.loads(run.training.read_text(encoding="utf-8")) if run.training.exists() else {}
    value = None
    if not failed:
        value = read_report(run.report).evaluations["test"].scalars().get(metric_of(task.objective))
    return task.failed(failed).model_copy(
        update={
            "value": value,
            "val_value": facts.get("best_value"),
            "best_epoch": facts.get("best_epoch"),
            "epochs": facts.get("epochs", 0),
            "seconds": facts.get("seconds", 0.0),
        }
    )
