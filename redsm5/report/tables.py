"""Evaluations as tables on the terminal, readable at 80 columns: the width of a pipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from redsm5.metrics.evaluation import (
    CriteriaSummary,
    DecisionScores,
    Evaluation,
    EvidenceScores,
    Interval,
    evidence_key,
    mean_of_known,
)

LEAST_NAME = 38
"""Characters of the names of metrics: one width for the tables below each other."""
NAME_WIDTH = 22
"""Characters of a criterion's title; longer ones are cut."""

SUMMARY_ROWS = (
    ("f1_macro", "macro F1"),
    ("f1_micro", "micro F1"),
    ("f1_weighted", "weighted F1"),
    ("precision_micro", "micro precision"),
    ("recall_micro", "micro recall"),
    ("exact_match", "exact match"),
    ("count_mae", "criteria per post, mean absolute error"),
    ("no_symptoms_f1_macro", "macro F1 with NO_SYMPTOMS"),
    ("no_symptoms_f1_micro", "micro F1 with NO_SYMPTOMS"),
)
"""Fields of ``CriteriaSummary`` and their names."""

EVIDENCE_ROWS = (
    ("hit_at_1", "hit@1"),
    ("mrr", "MRR"),
    ("token_f1", "token F1"),
    ("char_f1", "character F1"),
    ("iou_f1", "span F1 (IoU >= .5)"),
    ("sentence_precision", "sentence precision"),
    ("sentence_recall", "sentence recall"),
    ("sentence_f1", "sentence F1"),
    ("exact_match", "exact match"),
    ("null_accuracy", "null accuracy"),
    ("hard_negative_rate", "hard negatives bound (less is better)"),
)
"""Fields of ``EvidenceScores`` and their names."""

COMPARED = (
    ("tuned_f1_macro", "macro\nF1"),
    ("tuned_f1_micro", "micro\nF1"),
    ("auprc_macro", "AUPRC"),
    ("exact_match", "exact\nmatch"),
    ("hit_at_1", "hit@1"),
    ("mrr", "MRR"),
    ("evidence_token_f1", "token\nF1"),
    ("evidence_sentence_f1", "sentence\nF1"),
)
"""Keys of ``Evaluation.scalars`` in the comparison; a tuned one falls back to its value at 0.5."""


def print_evaluation(console: Console, evaluation: Evaluation, titles: Mapping[str, str] | None = None) -> None:
    """Print all tables of an evaluation.

    Args:
        console: Where to.
        evaluation: The numbers.
        titles: Title per code; the codes where not given.
    """
    for table in evaluation_tables(evaluation, titles):
        console.print(table)


def evaluation_tables(evaluation: Evaluation, titles: Mapping[str, str] | None = None) -> list[Table]:
    """Decisions and rankings per criterion, criteria together, evidence, and the number of criteria per post.

    Args:
        evaluation: The numbers.
        titles: Title per code; the codes where not given.
    """
    return [
        _decision_table(evaluation, titles or {}),
        _ranking_table(evaluation, titles or {}),
        _summary_table(evaluation),
        _evidence_table(evaluation),
        _count_table(evaluation),
    ]


def comparison_table(rows: Mapping[str, Evaluation]) -> Table:
    """Models beside each other, one per row, evidence given the gold criteria; the best of each column is bold.

    Args:
        rows: An evaluation of the same posts per name of a model.
    """
    table = _table("Models on the same posts")
    table.add_column("model", overflow="fold", min_width=12)
    for _, name in COMPARED:
        table.add_column(name, justify="right")
    values = {model: [compared(evaluation, key) for key, _ in COMPARED] for model, evaluation in rows.items()}
    best = [max((v for v in column if v is not None), default=None) for column in zip(*values.values(), strict=True)]
    for model, cells in values.items():
        texts = [number(v) for v in cells]
        bold = [
            f"[bold]{t}[/bold]" if v is not None and v == b else t for v, b, t in zip(cells, best, texts, strict=True)
        ]
        table.add_row(Text(model), *bold)
    tuned = all(e.tuned is not None for e in rows.values())
    table.caption = f"F1 and exact match at {'tuned thresholds' if tuned else 'tuned thresholds where there are any'}"
    return table


def number(value: float | None, digits: int = 3) -> str:
    """A value between 0 and 1 without the leading zero: .732, 1.000, and - where undefined."""
    if value is None:
        return "-"
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def compared(evaluation: Evaluation, key: str) -> float | None:
    """The value under a key of ``COMPARED``."""
    scalars = evaluation.scalars()
    if key == "exact_match":
        key = "tuned_exact_match"
    return scalars.get(key, scalars.get(key.removeprefix("tuned_")))


def _table(title: str) -> Table:
    return Table(
        title=f"\n{title}",
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def _criterion_rows(title: str, headers: Sequence[str]) -> Table:
    table = _table(title)
    table.add_column("criterion", overflow="ellipsis", no_wrap=True, max_width=NAME_WIDTH)
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    return table


def _decision_table(evaluation: Evaluation, titles: Mapping[str, str]) -> Table:
    tuned = evaluation.tuned
    headers = ["posts", "P\nat .5", "R\nat .5", "F1\nat .5"]
    headers += ["tuned\nt", "P\nat t", "R\nat t", "F1\nat t"] if tuned is not None else []
    title = f"Decisions per criterion, {evaluation.posts} posts by {evaluation.authors} authors"
    table = _criterion_rows(title, headers)
    for row in evaluation.criteria:
        cells = [str(row.support), *_decision_cells(row.at_half)]
        if row.tuned is not None:
            cells += [number(row.threshold, 2), *_decision_cells(row.tuned)]
        table.add_row(Text(titles.get(row.code, row.code)), *cells)
    table.add_section()
    means = ["", "", "", number(evaluation.at_half.f1_macro, 2)]
    means += ["", "", "", number(tuned.f1_macro, 2)] if tuned is not None else []
    table.add_row("mean over criteria", *means)
    return table


def _ranking_table(evaluation: Evaluation, titles: Mapping[str, str]) -> Table:
    headers = ["prevalence", "AUPRC", "AUROC", "ECE", "Brier", "hit@1"]
    table = _criterion_rows("Ranking, calibration and evidence per criterion", headers)
    for row in evaluation.criteria:
        values = (row.prevalence, row.auprc, row.auroc, row.ece, row.brier, row.hit_at_1)
        table.add_row(Text(titles.get(row.code, row.code)), *(number(value, 2) for value in values))
    table.add_section()
    prevalence = mean_of_known([row.prevalence for row in evaluation.criteria])
    hits = mean_of_known([row.hit_at_1 for row in evaluation.criteria])
    ranked = (evaluation.auprc_macro, evaluation.auroc_macro, evaluation.ece_macro, evaluation.brier_macro)
    table.add_row("mean over criteria", *(number(value, 2) for value in (prevalence, *ranked, hits)))
    return table


def _decision_cells(scores: DecisionScores) -> list[str]:
    return [number(scores.precision, 2), number(scores.recall, 2), number(scores.f1, 2)]


def _summary_table(evaluation: Evaluation) -> Table:
    table = _table(f"Criteria together{interval_note(evaluation)}")
    table.add_column("metric", min_width=LEAST_NAME)
    table.add_column("at .5")
    if evaluation.tuned is not None:
        table.add_column("at tuned thresholds")
    for field, name in SUMMARY_ROWS:
        cells = [_with_interval(field_value(evaluation.at_half, field), evaluation.intervals.get(field))]
        if evaluation.tuned is not None:
            interval = evaluation.intervals.get(f"tuned_{field}")
            cells.append(_with_interval(field_value(evaluation.tuned, field), interval))
        table.add_row(name, *cells)
    table.add_row("macro AUPRC", _with_interval(evaluation.auprc_macro, evaluation.intervals.get("auprc_macro")))
    if evaluation.published:
        rows = ", ".join(f"{p.name} {number(p.f1_micro, 2)}/{number(p.f1_macro, 2)}" for p in evaluation.published)
        table.caption = f"published micro/macro F1 with NO_SYMPTOMS, split unknown: {rows}"
    return table


def _evidence_table(evaluation: Evaluation) -> Table:
    table = _table(f"Evidence, {evaluation.evidence_pairs} (post, criterion) pairs{interval_note(evaluation)}")
    table.add_column("metric", min_width=LEAST_NAME)
    table.add_column("given gold criteria")
    table.add_column("end to end")
    for field, name in EVIDENCE_ROWS:
        key = evidence_key(field)
        table.add_row(
            name,
            _with_interval(field_value(evaluation.evidence_given_gold, field), evaluation.intervals.get(key)),
            _with_interval(
                field_value(evaluation.evidence_end_to_end, field), evaluation.intervals.get(f"end_to_end_{key}")
            ),
        )
    if evaluation.left_out_pairs:
        table.caption = f"{evaluation.left_out_pairs} pairs left out: some of their evidence was not found in the post"
    return table


def _count_table(evaluation: Evaluation) -> Table:
    table = _table("Posts by the number of criteria with evidence")
    table.add_column("criteria", min_width=LEAST_NAME)
    chosen = evaluation.tuned or evaluation.at_half
    shown = 1 + max(
        i for i, pair in enumerate(zip(evaluation.gold_counts, chosen.predicted_counts, strict=True)) if any(pair)
    )
    for count in range(shown):
        table.add_column(str(count), justify="right")
    table.add_row("gold", *map(str, evaluation.gold_counts[:shown]))
    at = "predicted (tuned)" if evaluation.tuned is not None else "predicted (at .5)"
    table.add_row(at, *map(str, chosen.predicted_counts[:shown]))
    return table


def field_value(scores: CriteriaSummary | EvidenceScores, field: str) -> float | None:
    """A field of a summary by its name."""
    value: float | None = getattr(scores, field)
    return value


def _with_interval(value: float | None, interval: Interval | None) -> str:
    text = number(value)
    return text if interval is None or value is None else f"{text}  {number(interval.low)} to {number(interval.high)}"


def interval_note(evaluation: Evaluation) -> str:
    """What the intervals are, in brackets; nothing where there are none."""
    if not evaluation.intervals:
        return ""
    return f" ({evaluation.bootstrap.level:.0%} intervals from {evaluation.bootstrap.resamples} resamples of authors)"
