"""A small report for the tests: three posts, two criteria, numbers that can be checked by hand."""

from __future__ import annotations

from datetime import UTC, datetime

from redsm5.datamodules.corpus import Span
from redsm5.metrics.evaluate import evaluate
from redsm5.metrics.evaluation import Evaluation
from redsm5.metrics.records import GoldPost, PredictedPost, ScoredSpan
from redsm5.report.models import CorpusInfo, EncoderInfo, Environment, Report, TrainingInfo

CODES = ("SLEEP", "APPETITE")
TITLES = {"SLEEP": "Trouble with sleep", "APPETITE": "Appetite or weight changes of any kind"}
SENTENCES = (Span(0, 9), Span(10, 19))
WORDS = (Span(0, 4), Span(5, 9), Span(10, 14), Span(15, 19))


def small_evaluation(*, thresholds: tuple[float, ...] | None = (0.4, 0.5), bootstrap: int = 20) -> Evaluation:
    """SLEEP is found in one of two posts at .5 and in both at .4; APPETITE has no support."""
    gold, predicted = [], []
    for name, label, probability, score in (("s_a_1", 1, 0.9, 2.0), ("s_a_2", 1, 0.45, 1.0), ("s_b_1", 0, 0.1, -1.0)):
        evidence = (SENTENCES[:1] if label else (), ())
        gold.append(GoldPost(name, name[:3], (label, 0), evidence, (False,) * 2, ((), ()), SENTENCES, WORDS))
        span = ScoredSpan(0, 9, score)
        predicted.append(PredictedPost(name, (probability, 0.2), ((span,), (ScoredSpan(10, 14, -3.0),))))
    return evaluate(gold, predicted, CODES, thresholds, bootstrap=bootstrap)


def small_report(**changes: object) -> Report:
    """A report with every optional part filled."""
    evaluation = small_evaluation()
    fields: dict[str, object] = {
        "created": datetime(2025, 1, 2, 3, 4, tzinfo=UTC),
        "environment": Environment.current(seed=7, threads=1, device="cpu"),
        "encoder": EncoderInfo(id="some/encoder", revision=None, parameters=10, trainable=4),
        "corpus": CorpusInfo(
            source="posts.csv",
            sha256="0" * 64,
            posts=3,
            splits={"train": 1, "val": 1, "test": 1},
            alignments={"exact": 2},
        ),
        "config": {"model": {"rate": 1e-3, "layers": [1, 2]}, "trainer": {"max_norm": None}},
        "training": TrainingInfo(
            epochs=3,
            best_epoch=1,
            monitor="val_f1_macro",
            best_value=0.5,
            stopped_early=False,
            seconds=1.5,
            tokens_per_second=None,
        ),
        "thresholds": {"SLEEP": 0.4, "APPETITE": 0.5},
        "evaluations": {"val": evaluation, "test": evaluation},
        "baselines": {"tf-idf": {"test": small_evaluation(thresholds=None, bootstrap=0)}},
        **changes,
    }
    return Report.model_validate(fields)
