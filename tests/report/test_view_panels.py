"""The panels of the view page: what stands in them, read back from their markup."""

import math
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from report_samples import CODES, TITLES, small_evaluation, small_report

from redsm5.metrics_csv import MetricRow, append_rows, read_epochs
from redsm5.report.chart import Chart
from redsm5.report.view_confusion import confusion_panel
from redsm5.report.view_criteria import criteria_panel
from redsm5.report.view_curves import curves_panel
from redsm5.report.view_keys import criterion_keys
from redsm5.report.view_training import epoch_ticks, training_panel

KEYS = criterion_keys(CODES, [TITLES[code] for code in CODES])
LABELS = np.array([[1, 0], [1, 0], [0, 0]], dtype=bool)
PROBABILITIES = np.array([[0.9, 0.2], [0.45, 0.2], [0.1, 0.2]])


def parsed(markup):
    return ET.fromstring(f"<div>{markup}</div>".replace("&nbsp;", " "))


def words(node):
    return re.sub(r"\s+", " ", "".join(node.itertext())).strip()


def cells(table):
    return [[words(cell) for cell in row] for row in table.iter("tr")]


def find_class(node, name):
    return [found for found in node.iter() if name in found.get("class", "").split()]


def test_criteria_panel_has_the_numbers_of_the_evaluation():
    panel = parsed(criteria_panel(small_evaluation(), KEYS, {"tf-idf": small_evaluation(thresholds=None)}))
    per_criterion, together, evidence, beside = (cells(table) for table in panel.iter("table"))
    sleep = per_criterion[1]
    assert sleep[0].endswith("Trouble with sleep")
    assert sleep[1:9] == ["2", "1.00", ".50", ".67", ".40", "1.00", "1.00", "1.00"]
    assert per_criterion[2][1:5] == ["0", "-", "-", "-"]  # no support
    assert together[1][0] == "macro F1"
    assert together[1][2].startswith("1.000 (")
    assert evidence[1][0] == "hit@1"
    assert [row[0] for row in beside] == ["model", "this run", "tf-idf"]


def test_criteria_panel_without_tuned_thresholds_has_no_columns_for_them():
    panel = parsed(criteria_panel(small_evaluation(thresholds=None), KEYS, {}))
    tables = [cells(table) for table in panel.iter("table")]
    assert len(tables) == 3
    assert "tuned t" not in tables[0][0]
    assert len({len(row) for row in tables[0]}) == 1


def test_curves_panel_draws_each_criterion_and_says_where_there_is_no_curve():
    panel = parsed(curves_panel(small_evaluation(), LABELS, PROBABILITIES, KEYS))
    names = [svg.get("aria-label") for svg in panel.iter("svg")]
    assert names == [
        "Precision-recall curve: All criteria (micro)",
        "Reliability diagram: All criteria (micro)",
        "Precision-recall curve: Trouble with sleep",
        "Reliability diagram: Trouble with sleep",
        f"Reliability diagram: {TITLES['APPETITE']}",
    ]
    assert "No post has this criterion" in words(panel)


def test_curves_panel_places_the_threshold_and_the_prevalence():
    panel = parsed(curves_panel(small_evaluation(), LABELS, PROBABILITIES, KEYS))
    drawn = next(s for s in panel.iter("svg") if s.get("aria-label") == "Precision-recall curve: Trouble with sleep")
    chart = Chart("", "", "")
    (point,) = find_class(drawn, "point")
    assert words(point) == "threshold .40: precision 1.00, recall 1.00"
    assert (float(point.get("cx")), float(point.get("cy"))) == pytest.approx((chart.x(1), chart.y(1)), abs=0.06)
    (line,) = find_class(drawn, "guide")
    assert float(line.get("d").split(",")[1].split()[0]) == pytest.approx(chart.y(2 / 3), abs=0.06)


def test_curves_panel_has_a_table_behind_each_curve():
    panel = parsed(curves_panel(small_evaluation(), LABELS, PROBABILITIES, KEYS))
    sleep = find_class(panel, "c0")[0]
    recall, bins = (cells(table) for table in sleep.iter("table"))
    assert [row[1] for row in recall[1:]] == ["1.00"] * 10
    assert [(row[1], row[2], row[3]) for row in bins[1:]] == [
        ("1", "0.10", "0.00"), ("1", "0.45", "1.00"), ("1", "0.90", "1.00"),
    ]  # fmt: skip


def test_confusion_panel_counts_and_leads_to_the_posts():
    decisions = np.array([[1, 0], [0, 1], [0, 1]], dtype=bool)
    panel = parsed(confusion_panel(LABELS, decisions, KEYS))
    counts, matrix = (cells(table) for table in panel.iter("table"))
    assert [row[1:] for row in counts[1:]] == [["1", "0", "1", "1"], ["0", "2", "0", "1"]]
    assert [row[1:] for row in matrix[1:]] == [["1", "1", "·"], ["·", "0", "·"], ["·", "1", ""]]
    buttons = {(b.get("data-criterion"), b.get("data-outcome")): words(b) for b in find_class(panel, "jump")}
    assert buttons == {
        ("0", "right"): "1", ("0", "missed"): "1", ("0", "rest"): "1", ("1", "alarm"): "2", ("1", "rest"): "1",
    }  # fmt: skip


def test_training_panel_has_losses_monitor_and_the_kept_epoch(tmp_path):
    path = tmp_path / "metrics.csv"
    names = ("train_loss", "val_loss", "val_f1_macro", "val_mrr")
    values = {(0, 4): (2, 3, 0.2, 0.5), (1, 8): (1, 2, 0.5), (2, 12): (0.5, math.nan, 0.4, 0.7)}
    for (epoch, step), row in values.items():
        append_rows(path, [MetricRow(epoch, step, name, value) for name, value in zip(names, row, strict=False)])
    rows = read_epochs(path)
    assert rows[2] == {"epoch": 2, "step": 12, "train_loss": 0.5, "val_f1_macro": 0.4, "val_mrr": 0.7}
    panel = parsed(training_panel(rows, small_report()))
    figures = {words(f.find("figcaption")): f for f in panel.iter("figure")}
    assert list(figures) == ["val_f1_macro (monitored)", "loss", "val_mrr"]
    loss = figures["loss"]
    assert [len(find_class(loss, kind)) for kind in ("train", "val")] == [1 + 3, 1 + 2]  # a line and its points
    (best,) = find_class(loss, "best")
    assert float(best.get("x1")) == Chart("", "", "", epoch_ticks(2)).x(1)
    everything, _ = (cells(table) for table in panel.iter("table"))
    assert everything[3] == ["2", "12", "0.5", "", "0.4", "0.7"]


def test_training_panel_of_no_epoch_and_no_training_still_says_what_was_run():
    panel = parsed(training_panel([], small_report(training=None)))
    assert "No epoch was logged." in words(panel)
    assert "some/encoder" in words(panel)


@pytest.mark.parametrize(
    ("last", "top", "count"), [(0, 1, 2), (2, 2, 3), (6, 6, 7), (7, 8, 5), (11, 12, 7), (99, 100, 6)]
)
def test_epoch_ticks_are_few_whole_numbers(last, top, count):
    found = epoch_ticks(last)
    assert found[0] == 0
    assert (found[-1], len(found)) == (top, count)
