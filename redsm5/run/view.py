"""The view page of a run, made from the files in its folder and the corpus; no model, no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.criteria import load_criteria
from redsm5.datamodules.gold import gold_post
from redsm5.datamodules.post_stream import PostStream
from redsm5.datamodules.reading import read_corpus
from redsm5.errors import UserError
from redsm5.metrics_csv import read_epochs
from redsm5.pretraining.record import read_record
from redsm5.report.models import Part, Report
from redsm5.report.view_confusion import confusion_panel
from redsm5.report.view_criteria import criteria_panel
from redsm5.report.view_curves import curves_panel
from redsm5.report.view_keys import criterion_keys
from redsm5.report.view_page import write_view_page
from redsm5.report.view_posts import page_data
from redsm5.report.view_pretraining import pretraining_panel
from redsm5.report.view_training import training_panel
from redsm5.report.writing import read_report
from redsm5.run.folder import RunFolder
from redsm5.run.prediction_file import PredictionFile, read_predictions
from redsm5.run.seals import check_seals

PART_NAMES: dict[Part, str] = {"val": "validation", "test": "test"}
MADE_BY: dict[Part, str] = {"val": "redsm5 validate", "test": "redsm5 test"}


def write_run_view(folder: RunFolder, part: Part, *, corpus: Corpus | None = None, out: Path | None = None) -> Path:
    """Write the page of an evaluated part.

    Args:
        folder: The run.
        part: What was predicted and evaluated.
        corpus: The corpus of the run; None to read the one that its config names.
        out: The file; None for that in the run's folder.

    Returns:
        The file.

    Raises:
        UserError: A file is missing or belongs to another corpus, or the page cannot be written.
    """
    check_seals(folder)
    predictions = read_predictions(folder.predictions(part), made_by=f"{MADE_BY[part]} {folder.path}")
    report = read_report(folder.report)
    if part not in report.evaluations:
        raise UserError(f"{folder.report} has no {part} part; run {MADE_BY[part]} {folder.path} first")
    metrics = read_epochs(folder.metrics)
    pretraining = read_record(folder.path)
    corpus = corpus_of_run(folder) if corpus is None else corpus
    _check_belongs(folder, part, predictions, report, corpus)
    evaluation = report.evaluations[part]
    gold = [gold_post(corpus, post.post_id) for post in predictions.posts]
    titles = [criterion.title for criterion in corpus.criteria]
    keys = criterion_keys(predictions.codes, titles)
    labels = np.array([g.labels for g in gold], dtype=np.bool_)
    probabilities = np.array([p.probabilities for p in predictions.posts], dtype=np.float64)
    baselines = {name: parts[part] for name, parts in report.baselines.items() if part in parts}
    path = folder.view(part) if out is None else out
    write_view_page(
        path,
        heading=f"{folder.path.name}: {PART_NAMES[part]} part",
        facts=[*evaluation.headline().items(), ("encoder", report.encoder.id)],
        data=page_data(
            texts={post.id: post.text for post in corpus.posts},
            gold=gold,
            predicted=predictions.posts,
            decisions=predictions.decisions,
            codes=predictions.codes,
            titles=titles,
            thresholds=predictions.thresholds,
        ),
        panels={
            "Criteria": criteria_panel(evaluation, keys, baselines),
            "Curves": curves_panel(evaluation, labels, probabilities, keys),
            "Confusion": confusion_panel(labels, np.array(predictions.decisions, dtype=np.bool_), keys),
            "Training": training_panel(metrics, report),
            **({} if pretraining is None else {"Pretraining": pretraining_panel(pretraining)}),
        },
    )
    return path


def write_predictions_view(folder: RunFolder, predictions_file: Path, posts_file: str, out: Path) -> Path:
    """Write a page of predictions without gold.

    Args:
        folder: The run that predicted.
        predictions_file: What ``redsm5 predict`` wrote.
        posts_file: The posts that it read.
        out: The file.

    Returns:
        The file.

    Raises:
        UserError: A file cannot be read, a predicted post is not among the posts, or the page cannot be written.
    """
    predictions = read_predictions(predictions_file, made_by=f"redsm5 predict {folder.path}")
    stream = PostStream(posts_file)
    texts: dict[str, str] = {}
    for post in stream:
        if texts.setdefault(post.id, post.text) != post.text:
            raise UserError(f"{posts_file}: id {post.id} stands for two posts; make the ids unique and predict again")
    missing = [post.post_id for post in predictions.posts if post.post_id not in texts]
    if missing:
        raise UserError(
            f"{posts_file} lacks {len(missing)} of the predicted posts, the first is {missing[0]}; "
            "give the posts that were predicted"
        )
    titles = _titles(_data_config(folder), predictions.codes)
    data = page_data(
        texts=texts,
        gold=None,
        predicted=predictions.posts,
        decisions=predictions.decisions,
        codes=predictions.codes,
        titles=titles,
        thresholds=predictions.thresholds,
    )
    facts = [("posts", str(len(predictions.posts))), ("predictions", predictions_file.name)]
    write_view_page(out, heading=f"{folder.path.name}: predictions", facts=facts, data=data, panels={})
    return out


def corpus_of_run(folder: RunFolder, source: str | None = None) -> Corpus:
    """The corpus that the config of a run names.

    Args:
        folder: The run.
        source: Where the corpus is now, a folder or a dataset id, if not where the config says.

    Raises:
        UserError: The config or the corpus cannot be read.
    """
    config = _data_config(folder)
    settings: dict[str, Any] = (
        {"path": source} if source else {k: config.get(k) for k in ("path", "posts", "annotations")}
    )
    if not (source and Path(source).is_dir()):
        settings["revision"] = config.get("dataset_revision")
    same = ("criteria", "conflicts", "fuzzy_cutoff", "fuzzy_margin")
    return read_corpus(**settings, **{key: config[key] for key in same if key in config})[0]


def _data_config(folder: RunFolder) -> dict[str, Any]:
    """The part ``data`` of the config of a run."""
    try:
        config = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
        data: dict[str, Any] = config["data"]
        return dict(data)
    except OSError as error:
        raise UserError(f"cannot read {folder.config}: {error.strerror}; name the folder of a run") from None
    except (yaml.YAMLError, ValueError, KeyError, TypeError):
        raise UserError(f"{folder.config} is not the config of a run; name the folder of a run") from None


def _titles(config: Mapping[str, Any], codes: tuple[str, ...]) -> list[str]:
    """Titles of the criteria: from the run's own file where there is one, else from the nine DSM-5 symptoms."""
    own = config.get("criteria")
    if own is None and config.get("path"):
        beside = [Path(config["path"]) / f"criteria{suffix}" for suffix in (".json", ".yaml", ".yml")]
        own = next((str(file) for file in beside if file.is_file()), None)
    titles = {criterion.code: criterion.title for criterion in load_criteria(own)}
    return [titles.get(code, code) for code in codes]


def _check_belongs(folder: RunFolder, part: Part, predictions: PredictionFile, report: Report, corpus: Corpus) -> None:
    """Refuse predictions, report and corpus that are not of one run."""
    if report.corpus.sha256 != corpus.sha256:
        raise UserError(
            f"the corpus {corpus.source} is not the one that {folder.path} was fitted on "
            f"(hash {corpus.sha256[:12]}, then {report.corpus.sha256[:12]}); name that one with --corpus"
        )
    try:
        members = json.loads(folder.split.read_text(encoding="utf-8"))["parts"][part]
    except OSError as error:
        raise UserError(f"cannot read {folder.split}: {error.strerror}; run redsm5 fit first") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{folder.split} is not a split manifest; run redsm5 fit again") from None
    if predictions.codes != corpus.codes or {p.post_id for p in predictions.posts} != set(members):
        raise UserError(
            f"{folder.predictions(part)} is not of the {part} part of this run; run {MADE_BY[part]} {folder.path} again"
        )
