"""A search whose workers are the real ones, and whose fits are stood in for: they leave what a fit leaves."""

import json
import random
import shutil
import time
from dataclasses import replace
from pathlib import Path

import optuna
from checkpoint_samples import put
from searches import SPACE
from storm_log import StormLog
from tiny_runs import fit_options

from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.checkpoints.store import discard
from redsm5.errors import UserError
from redsm5.hpo.attempts import LOST
from redsm5.hpo.messages import PRUNED, Ended, Epoch, Started
from redsm5.hpo.owner import Owner
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.study import Study, load_study, open_study
from redsm5.hpo.trial_process import TrialProcess
from redsm5.hpo.worker import Worker
from redsm5.metrics_csv import MetricRow, append_rows, keep_rows

EPOCHS = 4


def begin(corpus, encoder, folder, patch, **settings):
    """Begin a study; its settings. What fits into memory, which takes a process of its own, is asked once."""
    folder.mkdir(parents=True, exist_ok=True)
    space = folder / "space.yaml"
    space.write_text(SPACE, encoding="utf-8")
    given = {"n_trials": 3, "lease_seconds": 2.0, "keep": 1, "best_config": "none/best.yaml", **settings}
    made = HpoSettings(study_dir=str(folder / "study"), space=str(space), **given)
    args = [arg for arg in fit_options(corpus, encoder, folder)[1:] if "run_dir" not in arg]
    args = [arg for arg in args if not arg.startswith(("--model.optimizer", "--early_stopping"))]
    study = open_study(made, args, lambda _: None)
    bounds = study.bounds(lambda _: None)
    patch.setattr(Study, "bounds", lambda self, tell: bounds)
    study.storage.engine.dispose()
    return made


def value_of(number, epoch):
    """What a trial has reached after an epoch."""
    return (number * 37 % 101 + 1) / 102 * (epoch + 1) / EPOCHS


def fit(self, task):
    """Stands for ``TrialProcess.run``: checkpoints, rows and files as a fit leaves them; every ninth one diverges."""
    run = Path(task.run_dir)
    number, kept = int(run.parent.name), CheckpointFolder(run / "checkpoints")
    kept.path.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(task.args[1], run / "config.yaml")
    last, _ = kept.take_last()
    begin = 0 if last is None else last.manifest.epoch + 1
    keep_rows(run / "metrics.csv", lambda row: row.epoch < begin)
    log, token = StormLog(run.parents[2] / "storm.log"), int(run.name.removeprefix("attempt-"))
    log.begins(number, token)
    self._on_start(Started(begin, 0.1))
    how, epoch = "trained", begin - 1
    for epoch in range(begin, EPOCHS):
        time.sleep(random.uniform(0.02, 0.1))
        if self.was_ended:
            return Ended("killed", "ended by its worker")
        if number % 9 == 8 and epoch == 1:
            return Ended("diverged", "diverged", "the training has diverged")
        value = value_of(number, epoch)
        rows = [MetricRow(epoch, epoch, name, value) for name in (task.objective, task.prune_by, "val_loss")]
        append_rows(run / "metrics.csv", rows)
        before = [*kept.entries("resume"), *kept.entries("weights")]
        put(kept, "weights", epoch=epoch, value=value)
        put(kept, "resume", epoch=epoch, value=value)
        for entry in before:
            discard(entry.path)
        began = time.monotonic()
        prunes = self._on_epoch(Epoch(epoch, value))
        log.told(number, token, began)
        if prunes:
            (run / PRUNED).write_text(json.dumps({"epoch": epoch}))
            how = "pruned"
            break
    best = {"best_epoch": epoch, "best_value": value_of(number, epoch), "epochs": epoch + 1, "seconds": 1.0}
    (run / "training.json").write_text(json.dumps(best))
    for name in ("predictions-val.jsonl", "report.json", "view-val.html"):
        (run / name).write_text("{}")
    return Ended(how, memory_gb=1.0)


def work(url, budget, elsewhere=False, settings=None):
    """A worker, in a forked process, until the study is done."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    random.seed()
    TrialProcess.run = fit
    if elsewhere:  # only its beats say that it lives
        owner = replace(Owner.this_process(), boot="another")
        Owner.this_process = classmethod(lambda cls: owner)
    while True:
        try:
            study = load_study(settings)
            break
        except Exception as error:  # the server may be away
            if isinstance(error, UserError) and "cannot use the database" not in str(error):
                raise
            time.sleep(0.2)
    Worker(study, lambda _: None, alone=False).work()


def said(line):
    """What a worker says, to nobody."""


def work_here(study, tell=said):
    """A worker, in this process, until the study is done."""
    return Worker(study, tell).work()


def lost(study):
    """Why attempts were lost."""
    return [trial.user_attrs[LOST] for trial in study.optuna.get_trials() if LOST in trial.user_attrs]


def reports(study):
    """Trials that have a report."""
    return sorted(int(path.parent.name) for path in study.folder.glob("trials/*/report.json"))


def kept(study):
    """Trials that have weights."""
    return sorted(int(path.parts[-4]) for path in study.folder.glob("trials/*/attempt-*/checkpoints/best-*"))
