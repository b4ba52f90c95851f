"""``redsm5 baseline RUN``: TF-IDF and logistic regression on the corpus and split of a run, set beside its figures."""

from __future__ import annotations

import argparse
from typing import Literal

NAME = "TF-IDF + LR"
PARTS: tuple[Literal["val", "test"], ...] = ("val", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("run", help="folder of a run that has been fitted and tested")


def run(args: argparse.Namespace) -> int:
    """Fit the baseline, evaluate it on the test part, print both; returns the exit code."""
    from rich.console import Console

    from redsm5.baselines.tfidf import run_tfidf
    from redsm5.metrics.evaluate import evaluate
    from redsm5.metrics.evaluation import Evaluation
    from redsm5.metrics.thresholds import fit_thresholds
    from redsm5.report.tables import comparison_table
    from redsm5.run.evaluation import Part, open_run
    from redsm5.run.reporting import add_baseline

    cli, folder = open_run([args.run], command="baseline")
    data, seed = cli.datamodule, cli.config.seed_everything
    data.setup("test")
    gold = {part: data.gold(part) for part in PARTS}
    predicted = {part: run_tfidf(data.corpus, data.split, part, seed) for part in PARTS}
    thresholds = fit_thresholds(gold["val"], predicted["val"])
    evaluations: dict[Part, Evaluation] = {
        part: evaluate(gold[part], predicted[part], data.codes, thresholds, seed=seed) for part in PARTS
    }
    report = add_baseline(folder, NAME, evaluations)
    rows = {NAME: evaluations["test"]}
    if "test" in report.evaluations:
        rows = {"this run": report.evaluations["test"], **rows}
    Console().print(comparison_table(rows))
    return 0
