"""``redsm5 ensemble``: the best trials of a search as one model, compared with the best of them and exported."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from redsm5 import __version__
from redsm5.confirm.origin import StudyFiles
from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.criteria import load_criteria
from redsm5.datamodules.gold import gold_post
from redsm5.datamodules.manifest import read_manifest
from redsm5.datamodules.split import parts_of
from redsm5.ensemble.averaging import architecture, averaged, folded
from redsm5.ensemble.combination import Combine
from redsm5.ensemble.comparison import METHODS, Arm, compare, ensemble_arm, judge, method_name, model_arm
from redsm5.ensemble.fitting import Weighting, fit_combination
from redsm5.ensemble.models import ENSEMBLE_FILE, FOLDER, Ensemble, Member
from redsm5.ensemble.trials import corpus_here, encoder_of, weights_of
from redsm5.errors import UserError
from redsm5.hpo.records import best_first, read_records
from redsm5.hpo.study import Study
from redsm5.inference.ensemble_card import ensemble_card
from redsm5.inference.export import export, put_in_place
from redsm5.inference.manifest import ExportFolder
from redsm5.inference.model_files import ModelFiles, read_model, sha256_of
from redsm5.inference.network_predictor import NetworkPredictor
from redsm5.inference.predictor import chunks
from redsm5.metrics.bootstrap import LEVEL, author_weights
from redsm5.metrics.records import GoldPost, PredictedPost
from redsm5.modules.decoding import SpanDecoding
from redsm5.report.search_card import search_sections
from redsm5.report.study_models import TrialReport
from redsm5.report.writing import read_report
from redsm5.run.folder import RunFolder

MEMBERS = "members"
"""Folder of the ensemble that holds them."""
FOLDS, RESAMPLES = 5, 1000
"""Of the validation posts, at most; of the bootstrap."""


@dataclass(frozen=True)
class Asked:
    """What to make.

    Attributes:
        top: Best trials.
        combine: What of them is averaged.
        weighting: How much each counts.
        out: Folder; None for the one in the study's.
        overwrite: Whether an ensemble that is there is replaced.
        places: Options of ``redsm5 fit`` that say where the corpus lies here.
    """

    top: int = 5
    combine: Combine = "mean"
    weighting: Weighting = "equal"
    out: Path | None = None
    overwrite: bool = False
    places: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.top < 2:
            raise UserError(f"--top is {self.top}; an ensemble needs at least 2 trials")
        if self.combine == "rank" and self.weighting == "fitted":
            raise UserError("--weights fitted needs probabilities, and --combine rank has ranks; take equal or greedy")


@dataclass(frozen=True)
class _Candidate:
    """A trial that has predicted.

    Attributes:
        report: Of the trial.
        run: Its run.
        predicted: The validation posts in their order.
        decoding: Its limits on spans.
        architecture: What it has to have in common with others for the mean of their weights to be a model.
    """

    report: TrialReport
    run: RunFolder
    predicted: list[PredictedPost]
    decoding: SpanDecoding
    architecture: tuple[object, ...]


def make_ensemble(study: Study, asked: Asked, tell: Callable[[str], None]) -> Ensemble:
    """Predict the validation posts with the best trials, compare what can be made of them, export what was asked for.

    Args:
        study: Of ``load_study``.
        asked: What to make.
        tell: Is given a line for each step.

    Returns:
        What stands in ``ensemble.json``.

    Raises:
        UserError: There are too few trials with weights, the corpus is another one by now, or the folder cannot be
            written.
    """
    out = asked.out or study.folder / FOLDER
    refuse_existing(out, overwrite=asked.overwrite)
    records = read_records(study.optuna)
    chosen = best_first(records.ended, study.plan.direction.name.lower())[: asked.top]
    runs = [weights_of(study, report, len(chosen)) for report in chosen]
    if len(chosen) < asked.top:
        raise UserError(f"{study.folder} has {len(chosen)} trials that were trained to their end; --top is {asked.top}")
    corpus = corpus_here(study, chosen[0], asked.places)
    split = read_manifest(runs[0].split, corpus)
    gold = [gold_post(corpus, post_id) for post_id in split.val]
    candidates: list[_Candidate] = []
    for report, run in zip(chosen, runs, strict=True):
        candidates.append(_candidate(report, run, corpus, gold))
        tell(f"trial {report.trial} has predicted {len(gold)} validation posts ({len(candidates)} of {len(chosen)})")
    numbers, predicted = [report.trial for report in chosen], [one.predicted for one in candidates]
    decoding = _decoding(candidates)
    arms = [
        *(model_arm(f"trial {n}", "single", [n], gold, posts) for n, posts in zip(numbers, predicted, strict=True)),
        *(ensemble_arm(combine, weighting, numbers, gold, predicted, decoding) for combine, weighting in METHODS),
        *_averages(candidates, corpus, gold, tell),
    ]
    folds = _folds(corpus, gold, study)
    judged = [judge(arm, gold, folds) for arm in arms]
    compared = compare(judged, author_weights([g.author for g in gold], RESAMPLES, study.plan.seed))
    tell("compared; exporting")
    combination, thresholds = fit_combination(
        gold, predicted, combine=asked.combine, weighting=asked.weighting, decoding=decoding
    )
    name = method_name(asked.combine, asked.weighting)
    own = next(one for one in judged if one.arm.name == name)
    kept = [i for i, weight in enumerate(combination.weights) if weight > 0]
    ensemble = Ensemble(
        created=datetime.now(UTC),
        redsm5=__version__,
        study=study.settings.label,
        corpus_sha256=corpus.sha256,
        objective=study.plan.objective,
        direction="minimize" if study.plan.mode == "min" else "maximize",
        trials=len(records.ended),
        posts=len(gold),
        authors=len({post.author for post in gold}),
        folds=len(np.unique(folds)),
        level=LEVEL,
        resamples=RESAMPLES,
        members=tuple(_member(study, chosen[i], combination.weights[i]) for i in kept),
        chosen=name,
        combination=combination.of(kept),
        thresholds=dict(zip(corpus.codes, thresholds, strict=True)),
        evaluation=own.evaluation(corpus.codes, thresholds, bootstrap=RESAMPLES, seed=study.plan.seed),
        compared=compared,
    )
    files = StudyFiles.read(study.folder, lambda _: None)
    return _write(ensemble, [candidates[i].run for i in kept], files, out, overwrite=asked.overwrite)


def refuse_existing(out: Path, *, overwrite: bool) -> None:
    """See that an ensemble may be written into a folder.

    Raises:
        UserError: It holds something, or lies nowhere.
    """
    if not out.exists():
        if not out.parent.is_dir():
            raise UserError(f"--out {out}: there is no folder {out.parent}; make it, or choose another")
        return
    if not (out / ENSEMBLE_FILE).is_file():
        raise UserError(f"--out {out} exists and is no ensemble; choose another")
    if not overwrite:
        raise UserError(f"{out} holds an ensemble; choose another --out, or add --overwrite")


def _candidate(report: TrialReport, run: RunFolder, corpus: Corpus, gold: Sequence[GoldPost]) -> _Candidate:
    """A trial that has predicted; its model is let go: five large ones do not fit everywhere."""
    model = folded(read_model(run.path))
    return _Candidate(report, run, _predict(model, corpus, gold), model.recipe.decoding, architecture(model))


def _predict(model: ModelFiles, corpus: Corpus, gold: Sequence[GoldPost]) -> list[PredictedPost]:
    """Predictions of the posts in their order; the network is let go afterwards."""
    predictor = NetworkPredictor(model)
    posts = [corpus.post_by_id[post.post_id] for post in gold]
    return [post for chunk in chunks(posts) for post in predictor.predict_chunk(chunk)]


def _decoding(candidates: Sequence[_Candidate]) -> SpanDecoding:
    """How many spans the ensemble has, and how much they may overlap: the widest limits of its members."""
    limits = [one.decoding for one in candidates]
    return SpanDecoding(max_spans=max(one.max_spans for one in limits), nms_iou=max(one.nms_iou for one in limits))


def _averages(
    candidates: Sequence[_Candidate], corpus: Corpus, gold: Sequence[GoldPost], tell: Callable[[str], None]
) -> list[Arm]:
    """An arm for each architecture that several trials share."""
    groups: dict[object, list[_Candidate]] = {}
    for one in candidates:
        groups.setdefault(one.architecture, []).append(one)
    arms = []
    for group in groups.values():
        if len(group) > 1:
            trials = [one.report.trial for one in group]
            name = f"mean of the weights of {', '.join(map(str, trials))}"
            posts = _predict(averaged(folded(read_model(one.run.path)) for one in group), corpus, gold)
            arms.append(model_arm(name, "averaged", trials, gold, posts))
            tell(f"the {name} has predicted them")
    return arms


def _folds(corpus: Corpus, gold: Sequence[GoldPost], study: Study) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The fold of each post: by authors, or by posts where the study groups by nothing."""
    group_by = study.plan.config["data"]["group_by"]
    groups = len({post.author for post in gold}) if group_by == "author" else len(gold)
    count = min(FOLDS, groups)
    if count < 2:
        raise UserError("the validation posts are of one author; what is learned of them cannot be judged on them")
    posts = [corpus.post_by_id[post.post_id] for post in gold]
    of = parts_of(corpus, posts, (1 / count,) * count, study.plan.seed, group_by)
    return np.array([of[post.id] for post in posts], dtype=np.int64)


def _member(study: Study, report: TrialReport, weight: float) -> Member:
    return Member(
        trial=report.trial,
        value=report.value or 0.0,
        encoder=encoder_of(study, report),
        weight=weight,
        folder=f"{MEMBERS}/{report.trial:05d}",
        sha256=None,
    )


def _write(ensemble: Ensemble, runs: Sequence[RunFolder], files: StudyFiles, out: Path, *, overwrite: bool) -> Ensemble:
    """Export the members and write the ensemble, whole or not at all."""
    aside = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    origins = [files.origin_of(run.path, confirmed=False, tell=lambda _: None) for run in runs]
    try:
        (aside / MEMBERS).mkdir(parents=True)
        members = []
        for member, run, origin in zip(ensemble.members, runs, origins, strict=True):
            folder = aside / str(member.folder)
            search = "" if origin is None else search_sections(replace(origin, ensemble=ensemble))
            export(run.path, folder, search=search)
            members.append(member.model_copy(update={"sha256": sha256_of(ExportFolder(folder).manifest)}))
        written = ensemble.model_copy(update={"members": tuple(members)})
        report, criteria = read_report(runs[0].report), load_criteria(str(runs[0].criteria))
        card = ensemble_card(written, report, criteria, out.name, [one for one in origins if one is not None])
        (aside / "README.md").write_text(card, encoding="utf-8")
        (aside / ENSEMBLE_FILE).write_text(written.model_dump_json(indent=2) + "\n", encoding="utf-8")
        put_in_place(aside, out, overwrite)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return written
