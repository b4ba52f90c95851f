from pathlib import Path
from typing import get_args

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trial_reports import report

from redsm5.callbacks.early_stopping import Monitor
from redsm5.hpo.objectives import MEASURED, Objective, objectives_of, pareto_front


def test_objectives_have_the_directions_of_their_metrics():
    assert objectives_of(["val_f1_macro", "val_loss", "peak_memory", "train_time"]) == (
        Objective("val_f1_macro", "max"),
        Objective("val_loss", "min"),
        Objective("peak_memory", "min"),
        Objective("train_time", "min"),
    )


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["val_f1_macro", "speed"], "speed is no objective; choose among val_f1_macro, .*, peak_memory, train_time"),
        (["val_f1_macro", "val_f1_macro"], "val_f1_macro stands twice"),
        (["peak_memory", "val_f1_macro"], "peak_memory cannot be the first"),
    ],
)
def test_objectives_that_cannot_be_are_refused(names, says):
    with pytest.raises(ValueError, match=says):
        objectives_of(names)


NUMBERS = st.integers(0, 4).map(float)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=12))
def test_front_is_the_one_that_optuna_finds(points):
    names = ["val_f1_macro", "peak_memory", "val_loss"]
    study = optuna.create_study(directions=["maximize", "minimize", "minimize"])
    for point in points:
        study.add_trial(optuna.create_trial(values=list(point)))
    reports = [report(n, point[0], objectives=dict(zip(names, point, strict=True))) for n, point in enumerate(points)]
    front = pareto_front(reports, objectives_of(names))
    assert {one.trial for one in front} == {trial.number for trial in study.best_trials}
    values = [one.value for one in front]
    assert values == sorted(values, reverse=True)


def test_front_leaves_out_what_was_not_trained_to_its_end():
    made = [report(0, 0.5, objectives={"val_f1_macro": 0.5, "train_time": 9.0}), report(1, 0.9, "PRUNED")]
    assert [one.trial for one in pareto_front(made, objectives_of(["val_f1_macro", "train_time"]))] == [0]


def test_docs_name_all_that_can_be_objectives():
    docs = (Path(__file__).parents[2] / "docs" / "hpo.md").read_text(encoding="utf-8")
    part = docs.partition("## Several objectives")[2].partition("\n## ")[0]
    assert [name for name in (*get_args(Monitor), *MEASURED) if f"`{name}`" not in part] == []
