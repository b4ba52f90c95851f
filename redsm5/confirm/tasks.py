"""From a study to what is to be trained: its best trials, on each fold, with each seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from redsm5.atomic import write_text_atomically
from redsm5.cli import build_cli
from redsm5.confirm.folds import confirmation_folds, split_csv
from redsm5.confirm.refit import RefitTask
from redsm5.confirm.sameness import Of, config_sha256
from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.reading import corpus_of
from redsm5.datamodules.split import GroupBy, Split
from redsm5.errors import UserError
from redsm5.hpo.results import CONFIG_FILE
from redsm5.hpo.retention import trial_folder
from redsm5.hpo.study import Study
from redsm5.pretraining.record import has_read_posts
from redsm5.report.study_models import TrialReport
from redsm5.run.folder import RunFolder


@dataclass(frozen=True)
class Asked:
    """How to confirm.

    Attributes:
        top: Best trials.
        seeds: How many trainings of each fold.
        folds: Of the training and validation posts.
        workers: Trainings at a time.
        places: Options of ``redsm5 fit`` that say where the files of the corpus lie here.
    """

    top: int = 5
    seeds: int = 3
    folds: int = 5
    workers: int = 1
    places: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        for name, least in (("top", 1), ("seeds", 1), ("folds", 2), ("workers", 1)):
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}; it must be at least {least}")


@dataclass(frozen=True)
class Chosen:
    """A trial that is to be confirmed.

    Attributes:
        report: Of the trial.
        config: Its config file.
        sha256: Hash of what the config says.
        encoder: Its encoder.
        refused: Why no fit can be made of the config; empty where one can.
        has_read_posts: Whether its encoder was pretrained on training posts before the search.
    """

    report: TrialReport
    config: Path
    sha256: str
    encoder: str
    refused: str
    has_read_posts: bool = False


def chosen(study: Study, reports: Sequence[TrialReport], places: Sequence[str] = ()) -> tuple[list[Chosen], Corpus]:
    """The trials with their configs, and the corpus, which is the same for all.

    Args:
        study: The study.
        reports: Of the trials.
        places: As in ``Asked``.

    Raises:
        UserError: A trial is on another machine, or not one of them can be used, or the corpus cannot be read.
    """
    made, corpus = [], None
    for report in reports:
        path, refused, has_read = _config(study, report), "", False
        encoder = report.params.get("encoder")
        try:
            config = build_cli(["--config", str(path), *places], parse_only=True).config
        except UserError as error:
            refused = str(error)
        else:
            corpus = corpus or corpus_of(config.data)
            encoder = encoder or config.model.encoder.id
            has_read = has_read_posts(config.model.encoder.id)
        try:
            sha256 = config_sha256(path)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        made.append(Chosen(report, path, sha256, str(encoder or "unknown"), refused, has_read))
    if corpus is None:
        raise UserError(f"none of the best trials can be trained again: {made[0].refused}")
    return made, corpus


def group_by(study: Study) -> GroupBy:
    """What folds may not tear apart: as in all trials of the study."""
    found: GroupBy = study.plan.config["data"]["group_by"]
    return found


def seeds_of(study: Study, number: int) -> list[int]:
    """Of the trainings and of the folds: the ones after that of the search."""
    first = int(study.plan.config["seed_everything"])
    return [first + 1 + i for i in range(number)]


def splits_of(
    corpus: Corpus, split: Split, seeds: Sequence[int], folds: int, group_by: GroupBy
) -> dict[tuple[int, int], Split]:
    """The split of each seed and fold.

    Args:
        corpus: The corpus.
        split: Of the study.
        seeds: Of the folds.
        folds: How many.
        group_by: What they may not tear apart.
    """
    made: dict[tuple[int, int], Split] = {}
    for seed in seeds:
        found = confirmation_folds(corpus, split, folds=folds, seed=seed, group_by=group_by)
        made |= {(seed, fold): one for fold, one in enumerate(found)}
    return made


def tasks_of(
    trials: Sequence[Chosen],
    splits: dict[tuple[int, int], Split],
    folder: Path,
    threads: int | None,
    places: tuple[str, ...] = (),
) -> list[RefitTask]:
    """What is to be trained; writes the files of the splits, also over those that say something else.

    Args:
        trials: To be confirmed.
        splits: By seed and fold.
        folder: Of all refits on these folds.
        threads: Of each training.
        places: As in ``Asked``.
    """
    texts = {key: split_csv(split) for key, split in splits.items()}
    files = {key: _written(folder / f"seed-{key[0]}-fold-{key[1]}.csv", text) for key, text in texts.items()}
    return [
        RefitTask(
            trial=one.report.trial,
            config=str(one.config),
            seed=seed,
            fold=fold,
            split_file=files[seed, fold],
            folder=str(refit_folder(folder, one.report.trial, seed, fold)),
            objective=one.report.objective,
            of=Of.now(one.sha256, texts[seed, fold]),
            threads=threads,
            places=places,
        )
        for one in trials
        for seed, fold in splits
    ]


def refit_folder(folder: Path, trial: int, seed: int, fold: int) -> Path:
    """Of one refit."""
    return folder / f"trial-{trial:05d}" / f"seed-{seed}" / f"fold-{fold}"


def _config(study: Study, report: TrialReport) -> Path:
    folder = trial_folder(study.folder, report.trial)
    for path in (config := folder / CONFIG_FILE, RunFolder(study.folder / report.run).split):
        if not path.exists():
            raise UserError(
                f"there is no {path}; trial {report.trial} ran on {report.host}: copy all of {folder} from there"
            )
    return config


def _written(path: Path, text: str) -> str:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text_atomically(path, text)
    return str(path)
