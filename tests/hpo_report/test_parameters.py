"""Pictures of what parameters did, and the tables behind them."""

import numpy as np
import pandas as pd
import pytest
from search_samples import of_rows, search

from redsm5.hpo_report import cells, parallel, slices
from redsm5.hpo_report.models import Domain

DOMAINS = {
    "lr": Domain(choices=[], low=1e-5, high=1.0, log=True),
    "batch": Domain(choices=[4, 8, 16, 32]),
    "late": Domain(choices=[True, False]),
}
ROWS = [
    {"value": 0.5, "params": {"lr": 1e-5, "batch": 4}},
    {"value": 0.7, "params": {"lr": 1.1e-5, "batch": 4}, "state": "PRUNED"},
    {"value": 0.1, "params": {"lr": 1.0, "batch": 16, "late": True}},
    {"value": 0.3, "params": {"lr": 0.5, "batch": 32}},
    {"value": None, "params": {"lr": 0.5, "batch": 32}, "state": "FAIL"},
]


def made(direction="maximize", leading=("lr", "batch")):
    return of_rows(*ROWS, leading=leading, domains=DOMAINS, direction=direction)


def test_mean_grid_is_a_pivot_table():
    draw = np.random.default_rng(0)
    across, up, values = draw.integers(0, 3, 40), draw.integers(0, 4, 40), draw.normal(size=40)
    expected = (
        pd.DataFrame({"a": across, "u": up, "v": values})
        .pivot_table(index="a", columns="u", values="v")
        .reindex(index=range(3), columns=range(4))
    )
    np.testing.assert_allclose(cells.mean_grid(across, up, values, (3, 4)), expected.to_numpy())


def test_heat_map_has_a_cell_for_each_choice_and_the_means_of_what_was_tried():
    (heat,) = cells.heat_map(made(), "lr", "batch").to_dict()["data"]
    grid = np.array([[np.nan if cell is None else cell for cell in line] for line in heat["z"]])
    assert grid.shape == (4, 10)  # a line per choice of batch, the fourth included, though 8 was never drawn
    expected = np.full((4, 10), np.nan)
    expected[0, 0], expected[2, 9], expected[3, 9] = 0.6, 0.1, 0.3
    np.testing.assert_allclose(grid, expected)
    layout = cells.heat_map(made(), "lr", "batch").layout
    assert list(layout.yaxis.ticktext) == ["4", "8", "16", "32"]
    assert layout.xaxis.ticktext[0] == "1e-05 to 3.2e-05"
    assert cells.cell_table(made(), "lr", "batch").rows == (
        ("1e-05 to 3.2e-05", "4", "2", "0.6"),
        ("0.32 to 1", "16", "1", "0.1"),
        ("0.32 to 1", "32", "1", "0.3"),
    )


def test_pairs_are_of_parameters_that_are_active_together():
    assert cells.pairs(made(leading=("late", "lr", "batch"))) == [("lr", "batch")]


@pytest.mark.parametrize(("direction", "best"), [("maximize", "0.7"), ("minimize", "0.5")])
def test_slices_have_a_line_for_what_was_tried_of_each_parameter(direction, best):
    table = slices.slice_table(made(direction))
    assert table.head[-2:] == ("mean val_f1_macro", "best val_f1_macro")
    assert table.rows == (
        ("lr", "1e-05 to 3.2e-05", "2", "0.6", best),
        ("lr", "0.32 to 1", "2", "0.2", "0.3" if direction == "maximize" else "0.1"),
        ("batch", "4", "2", "0.6", best),
        ("batch", "16", "1", "0.1", "0.1"),
        ("batch", "32", "1", "0.3", "0.3"),
    )


def test_slices_show_every_value_of_a_parameter():
    figure = slices.slices(made())
    shown = {trace.name: list(trace.x) for trace in figure.data if trace.xaxis == "x"}
    assert shown == {"pruned": [1.1e-5], "trained to its end": [1e-5, 1.0, 0.5]}
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis2.categoryarray) == ["4", "8", "16", "32"]


@pytest.mark.parametrize(("direction", "order"), [("maximize", ["0", "3", "2"]), ("minimize", ["2", "3", "0"])])
def test_parallel_lines_are_complete_trials_the_best_first(direction, order):
    report = made(direction)
    names = parallel.line_names(report)
    assert names == ["lr", "batch"]
    table = parallel.parallel_table(report, names)
    assert [row[0] for row in table.rows] == order
    best, worst = table.rows[0], table.rows[-1]
    assert (best[2], worst[2]) == ("best fifth", "fourth")  # of three
    assert {row[0]: row[3:] for row in table.rows} == {
        "0": ("1e-05", "4"), "3": ("0.5", "32"), "2": ("1", "16")
    }  # fmt: skip
    lines = {trace.name: list(trace.y) for trace in parallel.parallel(report, names).data if len(trace.y)}
    shift = (int(order[0]) % 11 - 5) / 400
    share = {"0": [0.0, 0.0], "2": [1.0, 2 / 3]}[order[0]]
    assert lines["best fifth"] == [*(pytest.approx(at + shift, abs=1e-4) for at in share), None]
    assert sum(line.count(None) for line in lines.values()) == 3


def test_a_parameter_that_is_rarely_there_is_not_among_the_lines():
    assert parallel.line_names(made(leading=("late", "lr", "batch"))) == ["lr", "batch"]


def test_only_parameters_above_chance_are_shown():
    report = search()
    noise = [one.model_copy(update={"floor": 1.0}) for one in report.importances]
    nothing = report.model_copy(update={"importances": noise})
    assert cells.pairs(nothing) == []
    assert parallel.line_names(nothing) == []
    assert slices.slice_table(nothing).rows == ()


def test_names_below_a_slice_are_few_and_short():
    domains = DOMAINS | {"encoder": Domain(choices=[f"org/some-long-encoder-{n}" for n in range(30)])}
    rows = [{"value": 0.5, "params": {"encoder": f"org/some-long-encoder-{n}"}} for n in range(30)]
    axis = slices.slices(of_rows(*rows, leading=("encoder",), domains=domains)).layout.xaxis
    assert len(axis.categoryarray) == 30
    assert list(axis.tickvals) == [f"some-long-encoder-{n}" for n in range(0, 30, 3)]
    assert axis.ticktext[0] == "some-lo…coder-0"
