import json
import math

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from redsm5.hpo_report.axes import Axis, domain_of, text_of


def axis(distribution):
    return Axis(domain_of(distribution))


@pytest.mark.parametrize(
    ("distribution", "kind"),
    [
        (CategoricalDistribution([4, 8, 16, 32, 64, 128, 256]), "category"),
        (CategoricalDistribution([None, 0.1, 0.2]), "category"),
        (IntDistribution(1, 12), "category"),
        (IntDistribution(1, 13), "linear"),
        (IntDistribution(1, 512, log=True), "log"),
        (FloatDistribution(0.0, 0.5, step=0.1), "category"),
        (FloatDistribution(0.0, 0.5), "linear"),
        (FloatDistribution(1.0, 2.0, log=True), "log"),  # however narrow: it is drawn so
    ],
)
def test_axis_is_that_of_the_distribution(distribution, kind):
    assert axis(distribution).kind == kind


def test_choices_have_a_cell_each_in_their_own_order():
    found = axis(CategoricalDistribution([4, 8, 16, 32, 64, 128, 256]))
    assert found.names == ("4", "8", "16", "32", "64", "128", "256")
    assert [found.cell(value) for value in (4, 64, 256)] == [0, 4, 6]
    assert [found.share(value) for value in (4, 32, 256)] == [0.0, 0.5, 1.0]


def test_small_ranges_have_a_cell_per_value_and_tell_true_from_one():
    assert axis(IntDistribution(2, 8, step=2)).names == ("2", "4", "6", "8")
    mixed = axis(CategoricalDistribution([True, 1, 1.0, None]))
    assert [mixed.cell(value) for value in (True, 1, 1.0, None)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("low", "high", "step"), [(0.1, 0.7, 0.2), (0.0, 0.3, 0.1), (0.0, 0.5, 0.1), (1e-5, 9e-5, 1e-5)]
)
def test_steps_have_a_cell_for_each_value_that_is_drawn(low, high, step):
    distribution = FloatDistribution(low, high, step=step)
    trial_values = {
        optuna.trial.create_trial(value=0.0, params={"x": value}, distributions={"x": distribution}).params["x"]
        for value in [distribution.low, distribution.high]
    }
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(60):
        trial_values.add(study.ask({"x": distribution}).params["x"])
    found = axis(distribution)
    cells = sorted(found.cell(value) for value in trial_values)
    assert cells == list(range(len(found.names)))
    assert max(value for value in found.domain.choices) == distribution.high


def test_cells_of_a_logarithmic_range_are_equal_factors():
    found = axis(FloatDistribution(1e-5, 1.0, log=True))
    assert found.names[0] == "1e-05 to 3.2e-05"
    assert len(found.names) == 10
    assert [found.cell(10.0**power) for power in (-5, -4.9, -0.1, 0)] == [0, 0, 9, 9]
    assert found.share(10**-2.5) == pytest.approx(0.5)
    assert [text for _, text in found.ticks()] == ["1e-05", "0.00316", "1"]


def test_cells_of_whole_numbers_hold_as_many_numbers_each():
    found = axis(IntDistribution(1, 20))
    assert found.names == tuple(f"{low} to {low + 1}" for low in range(1, 21, 2))
    assert [found.cell(value) for value in (1, 2, 3, 19, 20)] == [0, 0, 1, 9, 9]


def test_cells_of_whole_numbers_by_logarithm_miss_none():
    found = axis(IntDistribution(1, 512, log=True))
    held = [found.names[found.cell(value)] for value in range(1, 513)]
    for value, name in enumerate(held, start=1):
        low, _, high = name.partition(" to ")
        assert int(low) <= value <= int(high or low)
    assert set(held) == set(found.names)  # and none can hold nothing


def test_names_of_near_cells_have_the_digits_that_tell_them_apart():
    names = axis(FloatDistribution(1.0, 1.001)).names
    assert len(set(names)) == 10
    assert names[0] == "1 to 1.0001"


def test_names_of_choices_with_the_same_end_are_whole():
    found = axis(CategoricalDistribution(["a/bert", "b/bert", "b/roberta", 0.12344, 0.12341]))
    assert found.names == ("a/bert", "b/bert", "roberta", "0.12344", "0.12341")


@pytest.mark.parametrize(
    ("value", "text"), [("x/y/bert-base", "bert-base"), (0.000123456, "0.0001235"), (None, "null"), ([1, 2], "[1, 2]")]
)
def test_text_of_a_value(value, text):
    assert text_of(value) == text


def test_domain_is_json():
    for distribution in (CategoricalDistribution([None, "a", 1]), FloatDistribution(0, 1), IntDistribution(1, 100)):
        found = domain_of(distribution)
        assert json.loads(found.model_dump_json())["choices"] == list(getattr(distribution, "choices", ()))
        assert math.isfinite(found.high)
