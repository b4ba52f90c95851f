"""What the pictures show is what the report says."""

import numpy as np
import pandas as pd
import pytest
from search_samples import search, two_objectives

from redsm5.hpo_report import figures, parameters, tables


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


def test_mean_grid_is_a_pivot_table():
    draw = np.random.default_rng(0)
    across, up, values = draw.integers(0, 3, 40), draw.integers(0, 4, 40), draw.normal(size=40)
    expected = (
        pd.DataFrame({"a": across, "u": up, "v": values})
        .pivot_table(index="a", columns="u", values="v")
        .reindex(index=range(3), columns=range(4))
    )
    np.testing.assert_allclose(parameters.mean_grid(across, up, values, (3, 4)), expected.to_numpy())


def test_cells_of_numbers_are_equal_ranges():
    values = list(np.linspace(0.0, 1.0, 29))
    names, where = parameters.cells(values)
    assert len(names) == parameters.CELLS
    assert np.bincount(where).tolist() == [2] * 13 + [3]


def test_contour_has_a_cell_for_every_pair_that_was_tried(report):
    (first, second) = parameters.pairs(report)[0]
    (heat,) = parameters.contour(report, first, second).to_dict()["data"]
    filled = sum(cell is not None for line in heat["z"] for cell in line)
    assert filled == len(parameters.cell_table(report, first, second).rows)


def test_parallel_lines_are_those_of_complete_trials_with_all_parameters(report):
    names = parameters.line_names(report)
    figure = parameters.parallel(report, names)
    lines = sum(value is None for trace in figure.to_dict()["data"] for value in trace["x"])
    rows = [row for row in report.trials if row.state == "COMPLETE" and all(name in row.params for name in names)]
    assert lines == len(rows)


def test_front_is_set_apart():
    shown = traces(figures.front(two_objectives()))
    assert list(shown["Pareto front"]["text"]) == ["trial 1", "trial 4"]
    assert list(shown["Pareto front"]["x"]) == [2.0, 5.0]
    assert len(shown["other trials"]["x"]) == 37
    assert tables.front_table(two_objectives()).rows == (("1", "0.5", "1"), ("4", "0.5", "1"))


def test_slices_show_every_value_of_a_parameter(report):
    figure = parameters.slices(report)
    first = report.importances[0].name
    shown = [trace for trace in figure.data if trace.xaxis == "x"]
    assert sorted(x for trace in shown for x in trace.x) == sorted(
        row.params[first] for row in report.trials if row.value is not None
    )
