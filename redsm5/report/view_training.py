"""The panel of the view page with the course of the training, and what the run was."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from redsm5.report.chart import TOP, Chart, ticks
from redsm5.report.markup import Markup, joined, table, tag
from redsm5.report.models import Report

SHOWN = (
    "val_f1_macro",
    "val_f1_micro",
    "val_auprc_macro",
    "val_hit_at_1",
    "val_mrr",
    "val_evidence_token_f1",
    "val_evidence_sentence_f1",
)
"""Metrics that get a chart beside the losses and the monitored one; the table has all."""

EpochRow = Mapping[str, float]
"""Values of an epoch by column; what is not a finite number is left out."""


def training_panel(rows: Sequence[EpochRow], report: Report) -> Markup:
    """Losses, the monitored metric and others by epoch, and the facts of the run.

    Args:
        rows: The epochs.
        report: Of the run.
    """
    training = report.training
    best = None if training is None else training.best_epoch
    monitor = None if training is None else training.monitor
    columns = list(dict.fromkeys(name for row in rows for name in row))
    charts = []
    if monitor in columns and monitor is not None:
        charts.append(_chart(f"{monitor} (monitored)", rows, [monitor], best))
    losses = [name.split("_", 1)[1] for name in columns if name.startswith(("train_loss", "val_loss"))]
    charts += [_chart(loss, rows, [f"train_{loss}", f"val_{loss}"], best) for loss in dict.fromkeys(losses)]
    charts += [_chart(name, rows, [name], best) for name in SHOWN if name in columns and name != monitor]
    said = "Epochs count from 0. Solid lines: validation; dashed lines: training."
    if best is not None:
        said += f" The vertical line is the kept epoch, {best}."
    parts = [tag("h2", "Course of the training"), tag("p", said, class_="lead")]
    parts.append(tag("div", *charts, class_="cards small") if charts else tag("p", "No epoch was logged."))
    if rows:
        cells = [[f"{row[name]:g}" if name in row else "" for name in columns] for row in rows]
        values = table("metrics.csv", columns, cells)
        parts.append(tag("details", tag("summary", "All values as a table"), values, class_="card"))
    return joined([*parts, tag("h2", "Run"), _facts(report)])


def epoch_ticks(last: float) -> tuple[int, ...]:
    """Whole numbers from 0 to at or above the last epoch, six steps at most."""
    steps = (unit * 10**power for power in range(9) for unit in (1, 2, 5))
    step = next(step for step in steps if last <= 6 * step)
    return tuple(range(0, step * max(1, math.ceil(last / step)) + 1, step))


def _chart(title: str, rows: Sequence[EpochRow], names: Sequence[str], best: int | None) -> Markup:
    series = {name: [(row["epoch"], row[name]) for row in rows if name in row] for name in names}
    series = {name: points for name, points in series.items() if points}
    values = [y for points in series.values() for _, y in points]
    if not values:
        return Markup("")
    epochs = epoch_ticks(max(row["epoch"] for row in rows))
    low = min(values) if min(values) > 0.5 * max(values) > 0 else min(0.0, *values)
    chart = Chart(f"{title} by epoch", "epoch", "", epochs, ticks(low, max(values)), height=200)
    parts = []
    if best is not None:
        x = chart.x(best)
        parts.append(tag("line", x1=x, x2=x, y1=TOP, y2=chart.y(chart.y_ticks[0]), class_="best"))
    for name, points in series.items():
        kind = "train" if name.startswith("train_") else "val"
        parts.append(chart.line(points, f"curve {kind}"))
        radius = 2.5 if len(points) <= 30 else 0
        parts += [chart.dot(x, y, f"bin {kind}", f"{name}, epoch {x:g}: {y:g}", radius) for x, y in points if radius]
    return tag("figure", tag("figcaption", tag("strong", title)), chart.draw(*parts), class_="card")


def _facts(report: Report) -> Markup:
    corpus, encoder, training = report.corpus, report.encoder, report.training
    splits = ", ".join(f"{part} {n:,}" for part, n in corpus.splits.items())
    alignments = ", ".join(f"{kind} {n:,}" for kind, n in corpus.alignments.items())
    where = report.environment
    versions = where.model_dump(exclude={"seed", "threads", "device"})
    rows = [
        ["encoder", encoder.id + (f" at {encoder.revision}" if encoder.revision else "")],
        ["parameters", f"{encoder.parameters:,}, of which {encoder.trainable:,} trained"],
        ["corpus", f"{corpus.source} ({corpus.posts:,} posts: {splits})"],
        ["sentences found", alignments],
        ["corpus hash", corpus.sha256],
        ["evaluated", report.created.isoformat(timespec="seconds")],
        [
            "seed, threads, device",
            f"{where.seed}, {where.threads}, {where.device}",
        ],
        ["versions", ", ".join(f"{name} {version}" for name, version in versions.items())],
    ]
    if training is not None:
        best = "none" if training.best_epoch is None else f"{training.best_epoch}"
        value = "" if training.best_value is None else f" with {training.monitor} {training.best_value:.4g}"
        ended = ", stopped early" if training.stopped_early else ""
        rows.insert(2, ["epochs", f"{training.epochs}{ended}; kept: {best}{value}"])
        rows.insert(3, ["time", f"{training.seconds:,.0f} s"])
    return table("What was run, from report.json", ["what", "value"], rows, class_="figures words")
