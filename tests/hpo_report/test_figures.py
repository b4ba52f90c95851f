"""What the pictures of trials show is what the report says."""

import pandas as pd
import pytest
from search_samples import of_rows, search, several_objectives

from redsm5.hpo_report import figures, pareto, tables


@pytest.fixture(scope="module")
def report():
    return search()


def traces(figure):
    return {trace["name"]: trace for trace in figure.to_dict()["data"]}


def test_history_shows_every_trial_by_its_state(report):
    shown = traces(figures.history(report))
    for state, name in (("COMPLETE", "trained to its end"), ("PRUNED", "pruned")):
        rows = [row for row in report.trials if row.state == state]
        assert list(shown[name]["x"]) == [row.trial for row in rows]
        assert list(shown[name]["y"]) == [row.value for row in rows]
    assert list(shown["failed"]["x"]) == [7]
    assert list(shown["best so far"]["y"]) == [row.best for row in report.trials if row.best is not None]


def test_lines_of_reports_are_apart(report):
    shown = traces(figures.intermediate(report))["trained to its end"]
    lines = pd.Series(list(shown["y"])).isna().sum()
    assert lines == sum(row.state == "COMPLETE" for row in report.trials)


def test_endings_count_all_trials(report):
    shown = traces(figures.endings(report))
    assert sum(sum(trace["y"]) for trace in shown.values()) == len(report.trials)
    assert set(shown) == {"pruned", "stopped early", "failed"}


def test_times_sum_to_those_of_the_trials(report):
    parts = dict(figures.time_parts(report))
    assert parts["training and evaluation"] == 600.0 - 30.0 - 1.0
    assert parts["sampler"] == 6.0


def test_bars_of_importance_are_grey_where_chance_reaches_them(report):
    bars, marks = figures.importance_bars(report).to_dict()["data"]
    grey = {name for name, colour in zip(bars["y"], bars["marker"]["color"], strict=True) if colour == figures.GREY}
    assert grey == {one.name for one in report.importances if one.importance <= one.floor}
    assert "noise" in grey
    assert "lr" not in grey
    assert list(marks["x"]) == [one.floor for one in report.importances[::-1]]


def test_failures_with_the_same_beginning_have_bars_of_their_own():
    reasons = {f"{'x' * 80} {n}": n for n in (5, 4, 3)}
    made = search(0, reasons=reasons)
    figure = figures.failures(made)
    (bars,) = figure.to_dict()["data"]
    assert len(set(bars["y"])) == 3
    assert list(bars["x"]) == [3, 4, 5]
    assert len(figure.layout.yaxis.ticktext) == 3
    assert [row[0] for row in tables.reason_table(made).rows] == list(reasons)


def test_front_is_set_apart():
    made = several_objectives()
    shown = traces(pareto.front(made))
    assert list(shown["Pareto front"]["text"]) == ["trial 1", "trial 4"]
    assert list(shown["Pareto front"]["x"]) == [2.0, 5.0]
    assert len(shown["other trials"]["x"]) == 37
    assert tables.front_table(made).rows == (("1", "1", "2"), ("4", "4", "5"))


def test_three_objectives_have_a_panel_for_each_pair():
    names = (("val_f1_macro", "maximize"), ("peak_memory", "minimize"), ("train_time", "minimize"))
    made = several_objectives(names)
    figure = pareto.front(made)
    panels = {
        (figure.layout[f"yaxis{n}"].title.text, figure.layout[f"xaxis{n}"].title.text): [
            list(trace.x) for trace in figure.data if trace.xaxis == f"x{n}" and trace.name == "Pareto front"
        ]
        for n in ("", 2, 3)
    }
    assert panels == {
        ("val_f1_macro", "peak_memory"): [[2.0, 5.0]],
        ("val_f1_macro", "train_time"): [[3.0, 6.0]],
        ("peak_memory", "train_time"): [[3.0, 6.0]],
    }
    best = made.candidates[0].trial
    assert [(row[0], row[1]) for row in tables.candidate_table(made).rows[1:3]] == [
        ("peak_memory", str(best + 1)), ("train_time", str(best + 2))
    ]  # fmt: skip


def test_brief_numbers_have_five_digits():
    assert [figures.brief(value) for value in (0.123456789, 123456.7, 3, "lr", None)] == [
        0.12346, 123460.0, 3, "lr", None
    ]  # fmt: skip


def test_durations_are_those_of_the_trials():
    made = of_rows({"seconds": 3.0}, {"seconds": 5.0, "state": "FAIL"}, {"seconds": 4.0})
    shown = traces(figures.durations(made))
    assert list(shown["trained to its end"]["x"]) == [3.0, 4.0]
    assert list(shown["failed"]["x"]) == [5.0]
