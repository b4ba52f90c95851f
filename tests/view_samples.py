"""A run folder as fit and test leave it, without a model: predictions are gold with noise."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import yaml
from report_samples import small_report
from tiny import write_tiny_corpus

from redsm5.datamodules.corpus import Corpus
from redsm5.datamodules.gold import gold_post
from redsm5.datamodules.manifest import save_manifest
from redsm5.datamodules.reading import read_corpus
from redsm5.datamodules.split import Split
from redsm5.metrics.evaluate import evaluate
from redsm5.metrics.records import GoldPost, PredictedPost, ScoredSpan
from redsm5.metrics.thresholds import fit_thresholds
from redsm5.metrics_csv import MetricRow, append_rows
from redsm5.report.models import CorpusInfo
from redsm5.report.writing import write_report
from redsm5.run.folder import RunFolder
from redsm5.run.predictions import prediction_lines

SPECIAL_ID = "s_900_1"
EVIDENCE = "I 😀 lie awake and feel worthless, café after café."
SPECIAL_TEXT = (
    f"Hello 👨‍👩‍👧! <script>document.title = 'broken'</script> <img src=x onerror=alert(1)> {EVIDENCE} "
    "My phone is dead tired. & that is all </script>"
)
"""Markup, characters of two UTF-16 units, two criteria on one sentence, a hard negative."""


def write_sample_corpus(folder: Path) -> Path:
    """The tiny posts and the special one."""
    write_tiny_corpus(folder)
    with (folder / "redsm5_posts.csv").open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([SPECIAL_ID, SPECIAL_TEXT])
    with (folder / "redsm5_annotations.csv").open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([SPECIAL_ID, f"{SPECIAL_ID}_1", EVIDENCE, "SLEEP_ISSUES", 1, ""])
        writer.writerow([SPECIAL_ID, f"{SPECIAL_ID}_1", EVIDENCE, "WORTHLESSNESS", 1, ""])
        writer.writerow([SPECIAL_ID, f"{SPECIAL_ID}_2", "My phone is dead tired.", "FATIGUE", 0, ""])
    return folder


def noisy(gold: GoldPost, rng: np.random.Generator) -> PredictedPost:
    """A prediction that is right most of the time; spans are those of gold, cut short, and hard negatives."""
    probabilities = 1 / (1 + np.exp(-(rng.normal(-2, 1.5, len(gold.labels)) + 4 * np.array(gold.labels))))
    candidates = []
    for k in range(len(gold.labels)):
        spans = [ScoredSpan(s.start, max(s.start + 1, s.end - 2), float(rng.uniform(0.5, 6))) for s in gold.evidence[k]]
        spans += [ScoredSpan(s.start, s.end, 0.4) for s in gold.hard_negatives[k]]
        candidates.append(tuple(sorted(spans or [ScoredSpan(0, 1, -2.0)], key=lambda s: -s.score)))
    if gold.post_id == SPECIAL_ID:
        probabilities = np.array([0.97 if y else 0.01 for y in gold.labels])
    return PredictedPost(gold.post_id, tuple(float(p) for p in probabilities), tuple(candidates))


def write_sample_run(folder: Path, corpus_folder: Path) -> RunFolder:
    """A run on the sample corpus: 20 posts to train, 20 to validate, the others to test."""
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True)
    corpus, _ = read_corpus(path=str(corpus_folder))
    ids = [post.id for post in corpus.posts]
    split = Split(tuple(ids[:20]), tuple(ids[20:40]), tuple(ids[40:]))
    save_manifest(run.split, split, corpus, {})
    run.config.write_text(yaml.safe_dump({"data": {"path": str(corpus_folder), "conflicts": "positive"}}))
    names = ("train_loss", "val_loss", "val_f1_macro")
    for epoch, values in enumerate(((2.5, 2.25, 0.2), (1.5, 2.0, 0.6), (1.0, 2.5))):
        rows = zip(names, values, strict=False)
        append_rows(run.metrics, [MetricRow(epoch, 4 * epoch + 4, name, value) for name, value in rows])
    _write_evaluations(run, corpus, split)
    return run


def _write_evaluations(run: RunFolder, corpus: Corpus, split: Split) -> None:
    rng = np.random.default_rng(0)
    evaluations, thresholds = {}, None
    for part, ids in (("val", split.val), ("test", split.test)):
        gold = [gold_post(corpus, post_id) for post_id in ids]
        predicted = [noisy(g, rng) for g in gold]
        thresholds = thresholds or fit_thresholds(gold, predicted)
        evaluations[part] = evaluate(gold, predicted, corpus.codes, thresholds, bootstrap=20)
        run.predictions(part).write_text(prediction_lines(predicted, corpus.codes, thresholds))
    run.thresholds.write_text(json.dumps(dict(zip(corpus.codes, thresholds, strict=True))))
    info = CorpusInfo(
        source=corpus.source,
        sha256=corpus.sha256,
        posts=len(corpus.posts),
        splits={part: len(split.part(part)) for part in ("train", "val", "test")},
        alignments={"exact": len(corpus.annotations)},
    )
    write_report(
        run.report,
        small_report(created=datetime(2025, 1, 2, tzinfo=UTC), corpus=info, evaluations=evaluations,
                     baselines={"tf-idf": {"test": evaluations["test"]}}),
    )  # fmt: skip
