"""``redsm5 confirm``: the best trials of a search, trained again on folds of its training and validation posts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from redsm5 import __version__
from redsm5.atomic import write_text_atomically
from redsm5.cli import build_cli
from redsm5.confirm.folds import confirmation_folds, split_csv
from redsm5.confirm.models import Candidate, Confirmation, Difference, Refit
from redsm5.confirm.pooled import RESAMPLES, OutOfFold, mean_scores, out_of_fold, pooled, weights_of
from redsm5.confirm.refit import RefitTask
from redsm5.confirm.refits import run_refits
from redsm5.confirm.statistics import bootstrap_p, corrected_interval, difference_interval
from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.gold import gold_post
from redsm5.datamodules.loading import usable_cores
from redsm5.datamodules.manifest import read_manifest
from redsm5.datamodules.reading import corpus_of
from redsm5.errors import UserError
from redsm5.hpo.base_config import gpus
from redsm5.hpo.on_this_machine import visible_gpus
from redsm5.hpo.records import best_first, read_records
from redsm5.hpo.results import CONFIG_FILE
from redsm5.hpo.retention import trial_folder
from redsm5.hpo.study import Study
from redsm5.metrics.bootstrap import LEVEL
from redsm5.metrics.evaluation import Interval
from redsm5.metrics.paired import FloatArray
from redsm5.metrics.records import GoldPost
from redsm5.report.study_models import TrialReport
from redsm5.run.folder import RunFolder
from redsm5.run.lock import Writes, run_lock
from redsm5.run.prediction_file import read_predictions

FOLDER, CONFIRM_FILE = "confirm", "confirm.json"
"""Of the study: where the refits are, and the numbers."""


@dataclass(frozen=True)
class Asked:
    """How to confirm.

    Attributes:
        top: Best trials.
        seeds: How many trainings of each fold.
        folds: Of the training and validation posts.
        workers: Trainings at a time.
    """

    top: int = 5
    seeds: int = 3
    folds: int = 5
    workers: int = 1

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name, least in (("top", 1), ("seeds", 1), ("folds", 2), ("workers", 1)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}; it must be at least {least}")


def confirm(
    study: Study,
    asked: Asked,
    begin: Callable[[int], None],
    tell: Callable[[Refit, bool], None],
) -> Confirmation:
    """Train the best trials again, and write ``confirm.json``. Again goes on, or does nothing but count.

    Args:
        study: Of ``load_study``.
        asked: How.
        begin: Is told how many refits there are.
        tell: Is given each result, and whether it is of this run.

    Raises:
        UserError: There are no trials to confirm, their configs are elsewhere, the corpus is another one by now, or a
            training was refused or ended before its end.
    """
    present = gpus()
    if present and asked.workers > present:
        raise UserError(f"--workers is {asked.workers}, and there are {present} GPUs; each training needs one")
    records = read_records(study.optuna)
    chosen = best_first(records.ended, study.plan.direction.name.lower())[: asked.top]
    if not chosen:
        raise UserError(f"{study.folder} has no trial that was trained to its end; go on with redsm5 hpo first")
    configs = [_config(study, report) for report in chosen]
    corpus = corpus_of(build_cli(["--config", str(configs[0])], parse_only=True).config.data)
    folder = study.folder / FOLDER / f"folds-{asked.folds}-{corpus.sha256[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with run_lock(folder, writes=Writes(str(folder), f"confirms the trials of {study.folder}", "--folds")):
        split = read_manifest(RunFolder(study.folder / chosen[0].run).split, corpus)
        data = _data(configs[0])
        first = int(yaml.safe_load(configs[0].read_text(encoding="utf-8"))["seed_everything"])
        seeds = [first + 1 + number for number in range(asked.seeds)]
        folds: dict[int, list[str]] = {}
        for seed in seeds:
            made = confirmation_folds(corpus, split, folds=asked.folds, seed=seed, group_by=data["group_by"])
            folds[seed] = [_written(folder / f"seed-{seed}-fold-{i}.csv", split_csv(one)) for i, one in enumerate(made)]
        tasks = [
            RefitTask(
                trial=report.trial,
                config=str(config),
                seed=seed,
                fold=fold,
                split_file=folds[seed][fold],
                folder=str(_refit_folder(folder, report.trial, seed, fold)),
                objective=report.objective,
                threads=None if present else max(1, usable_cores() // asked.workers),
            )
            for report, config in zip(chosen, configs, strict=True)
            for seed in seeds
            for fold in range(asked.folds)
        ]
        begin(len(tasks))
        refits = run_refits(tasks, workers=asked.workers, gpus=visible_gpus(present) if present else (), tell=tell)
        gold = [gold_post(corpus, post.id) for post in corpus.posts if post.id in {*split.train, *split.val}]
        report = _confirmation(study, asked, chosen, refits, gold, corpus, folder, seeds, len(records.ended))
        write_text_atomically(study.folder / CONFIRM_FILE, report.model_dump_json(indent=2) + "\n")
    return report


def _refit_folder(folder: Path, trial: int, seed: int, fold: int) -> Path:
    return folder / f"trial-{trial:05d}" / f"seed-{seed}" / f"fold-{fold}"


def _config(study: Study, report: TrialReport) -> Path:
    path = trial_folder(study.folder, report.trial) / CONFIG_FILE
    if not path.exists():
        raise UserError(f"there is no {path}; trial {report.trial} ran on {report.worker.partition(':')[0]}: copy it")
    return path


def _data(config: Path) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load(config.read_text(encoding="utf-8"))["data"]
    return data


def _written(path: Path, text: str) -> str:
    if not path.exists():
        write_text_atomically(path, text)
    return str(path)


def _confirmation(
    study: Study,
    asked: Asked,
    chosen: Sequence[TrialReport],
    refits: Sequence[Refit],
    gold: Sequence[GoldPost],
    corpus: Corpus,
    folder: Path,
    seeds: Sequence[int],
    trials: int,
) -> Confirmation:
    maximise = study.plan.mode == "max"
    weights = weights_of(gold, study.plan.seed)
    candidates, resampled = [], {}
    for rank, report in enumerate(chosen, start=1):
        own = [refit for refit in refits if refit.trial == report.trial]
        values = [refit.value for refit in own if refit.value is not None]
        failed = [f"seed {refit.seed}, fold {refit.fold}: {refit.failed}" for refit in own if refit.failed]
        candidate = Candidate(
            trial=report.trial,
            rank=rank,
            encoder=str(report.params.get("encoder") or _encoder(study, report)),
            search_value=report.value or 0.0,
            failed=failed,
            mean=None,
            deviation=None,
            interval=None,
            gap=None,
            pooled=None,
        )
        if not failed:
            found = [_out_of_fold(gold, folder, report.trial, seed, asked.folds) for seed in seeds]
            resampled[report.trial] = mean_scores(found, weights)
            candidate = _confirmed(candidate, values, found, resampled[report.trial], corpus.codes, asked, maximise)
        candidates.append(candidate)
    sign = -1 if maximise else 1
    candidates.sort(key=lambda one: (one.mean is None, sign * (one.mean or 0.0), one.rank))
    best = candidates[0] if candidates[0].mean is not None else None
    return Confirmation(
        created=datetime.now(UTC),
        redsm5=__version__,
        study=study.settings.label,
        corpus_sha256=corpus.sha256,
        objective=study.plan.objective,
        direction="maximize" if maximise else "minimize",
        trials=trials,
        folds=asked.folds,
        seeds=list(seeds),
        posts=len(gold),
        authors=len({post.author for post in gold}),
        level=LEVEL,
        resamples=RESAMPLES,
        best=None if best is None else best.trial,
        candidates=candidates,
        differences=[] if best is None else _differences(best, candidates, resampled, study.plan.objective),
        refits=list(refits),
        seconds=sum(refit.seconds for refit in refits),
    )


def _confirmed(
    candidate: Candidate,
    values: Sequence[float],
    seeds: Sequence[OutOfFold],
    resampled: dict[str, FloatArray],
    codes: tuple[str, ...],
    asked: Asked,
    maximise: bool,
) -> Candidate:
    mean = float(np.mean(values)) if values else None
    interval = corrected_interval(values, asked.folds)
    gap = None if mean is None else (candidate.search_value - mean) * (1 if maximise else -1)
    return candidate.model_copy(
        update={
            "mean": mean,
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
            "interval": None if interval is None else Interval(low=interval[0], high=interval[1]),
            "gap": gap,
            "pooled": pooled(seeds, resampled, codes),
        }
    )


def _differences(
    best: Candidate, candidates: Sequence[Candidate], resampled: dict[int, dict[str, FloatArray]], objective: str
) -> list[Difference]:
    """The best one against each other one, on the same resamples of the same posts."""
    key = objective.removeprefix("val_")
    made = []
    for other in candidates:
        if other.trial == best.trial or other.pooled is None or best.pooled is None:
            continue
        if key not in resampled[best.trial] or key not in best.pooled.scores or key not in other.pooled.scores:
            continue
        apart = resampled[best.trial][key] - resampled[other.trial][key]
        apart = apart[~np.isnan(apart)]
        low, high = difference_interval(apart)
        made.append(
            Difference(
                trial=best.trial,
                other=other.trial,
                difference=best.pooled.scores[key] - other.pooled.scores[key],
                interval=Interval(low=low, high=high),
                p_value=bootstrap_p(apart),
            )
        )
    return made


def _out_of_fold(gold: Sequence[GoldPost], folder: Path, trial: int, seed: int, folds: int) -> OutOfFold:
    found = []
    for fold in range(folds):
        run = RunFolder(_refit_folder(folder, trial, seed, fold))
        found.append(read_predictions(run.predictions("test"), made_by="redsm5 confirm").posts)
    return out_of_fold(gold, found)


def _encoder(study: Study, report: TrialReport) -> str:
    config = yaml.safe_load((trial_folder(study.folder, report.trial) / CONFIG_FILE).read_text(encoding="utf-8"))
    return str(config["model"]["encoder"]["id"])
