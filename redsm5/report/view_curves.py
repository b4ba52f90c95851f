"""The panel of the view page with precision-recall curves and reliability diagrams."""

from __future__ import annotations

import math
from collections.abc import Sequence

from redsm5.metrics.criteria import average_precision
from redsm5.metrics.curves import PrecisionRecall, ReliabilityBin, precision_recall, reliability
from redsm5.metrics.evaluation import Evaluation
from redsm5.metrics.paired import BoolArray, FloatArray
from redsm5.report.chart import BOTTOM, Chart
from redsm5.report.markup import Markup, joined, table, tag
from redsm5.report.tables import number
from redsm5.report.view_keys import CriterionKey

RECALLS = tuple(i / 10 for i in range(1, 11))
"""Rows of the table behind a precision-recall curve."""

BARS = 46
"""Height of the counts under a reliability diagram."""

INTRODUCTION = (
    "Precision over recall: a step per distinct probability; dashed, the prevalence (the precision of a random order); "
    "the dot is the tuned threshold. Reliability: per bin of probabilities, the share of posts with the criterion; "
    "on the dashed diagonal, probabilities come true; larger dots have more posts, and their number stands below."
)


def curves_panel(
    evaluation: Evaluation, labels: BoolArray, probabilities: FloatArray, keys: Sequence[CriterionKey]
) -> Markup:
    """One card for all criteria together (micro) and one for each.

    Args:
        evaluation: The numbers of the part.
        labels: [N, K].
        probabilities: [N, K], of the same posts.
        keys: K criteria.
    """
    cards = [_micro_card(evaluation, labels, probabilities)]
    for key, row in zip(keys, evaluation.criteria, strict=True):
        facts = (
            f"{row.support} of {evaluation.posts} posts (prevalence {number(row.prevalence, 2)}) · "
            f"AUPRC {number(row.auprc, 2)} · AUROC {number(row.auroc, 2)} · "
            f"ECE {number(row.ece, 2)} · Brier {number(row.brier, 2)}"
        )
        point = None
        if row.tuned is not None and row.tuned.precision is not None and row.tuned.recall is not None:
            point = (row.tuned.recall, row.tuned.precision, f"threshold {number(row.threshold, 2)}")
        y, p = labels[:, key.index], probabilities[:, key.index]
        cards.append(_card(key.named(), key.title, key.colour, facts, y, p, point))
    return joined((tag("p", INTRODUCTION, class_="lead"), tag("div", *cards, class_="cards")))


def _micro_card(evaluation: Evaluation, labels: BoolArray, probabilities: FloatArray) -> Markup:
    y, p = labels.ravel(), probabilities.ravel()
    score = float(average_precision(y, p)[0]) if y.any() else None
    facts = f"{int(y.sum())} of {y.size} pairs of post and criterion · AUPRC {number(score, 2)}"
    tuned, point = evaluation.tuned, None
    if tuned is not None and tuned.precision_micro is not None and tuned.recall_micro is not None:
        point = (tuned.recall_micro, tuned.precision_micro, "the tuned thresholds of all criteria")
    return _card(tag("span", "All criteria (micro)"), "All criteria (micro)", "all", facts, y, p, point, "pairs")


def _card(
    heading: Markup,
    name: str,
    colour: str,
    facts: str,
    labels: BoolArray,
    probabilities: FloatArray,
    point: tuple[float, float, str] | None,
    unit: str = "posts",
) -> Markup:
    curve, bins = precision_recall(labels, probabilities), reliability(labels, probabilities)
    return tag(
        "section",
        tag("h3", heading),
        tag("p", facts, class_="soft"),
        tag(
            "div",
            _curve_figure(name, curve, point),
            tag("figure", _reliability_chart(name, bins, unit), tag("figcaption", "Reliability")),
            class_="pair",
        ),
        tag("details", tag("summary", "As tables"), _tables(name, curve, bins, unit)),
        class_=f"card {colour}",
    )


def _curve_figure(name: str, curve: PrecisionRecall | None, point: tuple[float, float, str] | None) -> Markup:
    if curve is None:
        return tag("figure", tag("p", "No post has this criterion: there is no curve.", class_="empty"))
    chart = Chart(f"Precision-recall curve: {name}", "recall", "precision")
    parts = [
        chart.line([(0, curve.prevalence), (1, curve.prevalence)], "guide"),
        chart.steps(list(zip(curve.recall.tolist(), curve.precision.tolist(), strict=True)), "curve"),
    ]
    caption = f"Precision over recall; prevalence {number(curve.prevalence, 2)}"
    if point is not None:
        recall, precision, at = point
        said = f"{at}: precision {number(precision, 2)}, recall {number(recall, 2)}"
        parts.append(chart.dot(recall, precision, "point", said, 5))
        caption += f"; ● {said}"
    return tag("figure", chart.draw(*parts), tag("figcaption", caption))


def _reliability_chart(name: str, bins: Sequence[ReliabilityBin], unit: str) -> Markup:
    chart = Chart(f"Reliability diagram: {name}", "probability", f"share of {unit}", height=240 + BARS, strip=BARS)
    most = max(b.count for b in bins)
    floor = chart.height - BOTTOM
    parts = [chart.line([(0, 0), (1, 1)], "guide")]
    for b in bins:
        height = max(1.0, (BARS - 18) * b.count / most)
        said = f"{b.low:.2f} to {b.high:.2f}: {b.count} {unit}, mean probability {b.mean_probability:.2f}, "
        said += f"share {b.positive_share:.2f}"
        width = chart.x(b.high) - chart.x(b.low) - 2
        bar = {"x": chart.x(b.low) + 1, "y": floor - height, "width": width, "height": height}
        parts.append(tag("rect", tag("title", said), **bar, class_="count-bar"))
        middle = (chart.x(b.low) + chart.x(b.high)) / 2
        parts.append(chart.label(middle, floor - height - 3, _short(b.count), class_="label small"))
    for b in bins:
        gap = [(b.mean_probability, b.mean_probability), (b.mean_probability, b.positive_share)]
        parts.append(chart.line(gap, "gap"))
    for b in bins:
        said = f"probability {b.mean_probability:.2f}, share {b.positive_share:.2f}, {b.count} {unit}"
        parts.append(chart.dot(b.mean_probability, b.positive_share, "bin", said, 3 + 4 * math.sqrt(b.count / most)))
    return chart.draw(*parts)


def _tables(name: str, curve: PrecisionRecall | None, bins: Sequence[ReliabilityBin], unit: str) -> Markup:
    parts = []
    if curve is not None:
        rows = [[number(r, 1), number(curve.precision_at(r), 2)] for r in RECALLS]
        parts.append(table(f"{name}: best precision at a recall of at least", ["recall", "precision"], rows))
    shares = [
        [f"{b.low:.2f} to {b.high:.2f}", str(b.count), f"{b.mean_probability:.2f}", f"{b.positive_share:.2f}"]
        for b in bins
    ]
    parts.append(table(f"{name}: reliability", ["bin", unit, "mean probability", "share"], shares))
    return joined(parts)


def _short(count: int) -> str:
    """A count that fits over its bar; the exact one is in the table."""
    return str(count) if count < 1000 else f"{count / 1000:.0f}k"
