"""``redsm5 confirm``: the best trials of a search, trained again on folds of its training and validation posts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from redsm5.atomic import write_text_atomically
from redsm5.confirm.metric import metric_of
from redsm5.confirm.models import Confirmation, Refit
from redsm5.confirm.numbers import Setup, confirmation
from redsm5.confirm.on_disk import CONFIRM_FILE
from redsm5.confirm.pooled import OutOfFold, out_of_fold
from redsm5.confirm.refits import run_refits
from redsm5.confirm.sameness import folds_name
from redsm5.confirm.tasks import Asked, chosen, group_by, refit_folder, seeds_of, splits_of, tasks_of
from redsm5.datamodules.gold import gold_post
from redsm5.datamodules.loading import usable_cores
from redsm5.datamodules.manifest import read_manifest
from redsm5.datamodules.split import split_sha256
from redsm5.errors import UserError
from redsm5.hpo.base_config import gpus
from redsm5.hpo.on_this_machine import visible_gpus
from redsm5.hpo.records import best_first, read_records
from redsm5.hpo.study import Study
from redsm5.metrics.records import GoldPost
from redsm5.run.folder import RunFolder
from redsm5.run.lock import Writes, run_lock
from redsm5.run.prediction_file import read_predictions

FOLDER = "confirm"
"""Of the study: where the refits are."""
HAS_READ = (
    "The encoder of trial {trials} was pretrained on training posts before the search: if they are of this corpus, it "
    "has read, without labels, posts that the folds hold out, which flatters; pretraining.use_tapt pretrains anew on "
    "each fold."
)


def confirm(
    study: Study,
    asked: Asked,
    begin: Callable[[int], None],
    tell: Callable[[Refit, bool], None],
    warn: Callable[[str], None],
) -> Confirmation:
    """Train the best trials again, and write ``confirm.json``. Again goes on, or does nothing but count.

    Args:
        study: Of ``load_study``.
        asked: How.
        begin: Is told how many refits there are.
        tell: Is given each result, and whether it is of this run.
        warn: Is given a sentence where what a fold holds out is not quite unseen.

    Raises:
        UserError: There are no trials to confirm, or not by their metric; their configs are elsewhere, or none can be
            trained any more; the corpus is another one by now; a disk is full.
    """
    metric = metric_of(study.plan.objective)
    present = 0 if study.plan.on_cpu else gpus()
    if present and asked.workers > present:
        raise UserError(f"--workers is {asked.workers}, and there are {present} GPUs; each training needs one")
    records = read_records(study.optuna)
    best = best_first(records.ended, study.plan.direction.name.lower())[: asked.top]
    if not best:
        raise UserError(f"{study.folder} has no trial that was trained to its end; go on with redsm5 hpo first")
    trials, corpus = chosen(study, best, asked.places)
    if has_read := [str(one.report.trial) for one in trials if one.has_read_posts]:
        warn(HAS_READ.format(trials=", ".join(has_read)))
    split = read_manifest(RunFolder(study.folder / best[0].run).split, corpus)
    seeds, grouped = seeds_of(study, asked.seeds), group_by(study)
    folder = study.folder / FOLDER / folds_name(corpus, split, asked.folds, grouped)
    with run_lock(folder, writes=Writes(str(folder), f"confirms the trials of {study.folder}", "--folds")):
        splits = splits_of(corpus, split, seeds, asked.folds, grouped)
        threads = None if present else max(1, usable_cores() // asked.workers)
        tasks = tasks_of([one for one in trials if not one.refused], splits, folder, threads, asked.places)
        refused = tasks_of([one for one in trials if one.refused], splits, folder, threads, asked.places)
        begin(len(tasks))
        refits = run_refits(tasks, workers=asked.workers, gpus=visible_gpus(present) if present else (), tell=tell)
        why = {one.report.trial: one.refused for one in trials}
        refits += [task.failed(f"refused: {why[task.trial]}") for task in refused]
        gold = [gold_post(corpus, post.id) for post in corpus.posts if post.id in {*split.train, *split.val}]
        setup = Setup(
            study=study.settings.label,
            corpus_sha256=corpus.sha256,
            split_sha256=split_sha256(split),
            codes=corpus.codes,
            objective=study.plan.objective,
            metric=metric,
            mode=study.plan.mode,
            trials=len(records.ended),
            folds=asked.folds,
            seeds=tuple(seeds),
            seed=study.plan.seed,
            splits=tuple(splits.values()),
            trained_on=frozenset(split.train),
        )

        def predictions(trial: int) -> list[OutOfFold]:
            return [_out_of_fold(gold, folder, trial, seed, asked.folds) for seed in seeds]

        report = confirmation(setup, trials, refits, gold, predictions)
        write_text_atomically(study.folder / CONFIRM_FILE, report.model_dump_json(indent=2) + "\n")
    return report


def _out_of_fold(gold: Sequence[GoldPost], folder: Path, trial: int, seed: int, folds: int) -> OutOfFold:
    found = []
    for fold in range(folds):
        run = RunFolder(refit_folder(folder, trial, seed, fold))
        found.append(read_predictions(run.predictions("test"), made_by="redsm5 confirm").posts)
    return out_of_fold(gold, found)
