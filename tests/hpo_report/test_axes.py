import numpy as np
import pytest

from redsm5.hpo_report.axes import axis_of, text_of


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a/LoRA", "a/IA3"], "category"),
        ([True, False], "category"),
        ([None, 1, 2], "category"),
        ([4, 8, 16], "category"),
        ([0.1 * n for n in range(10)], "linear"),
        ([float(n) for n in range(1, 20)], "linear"),
        ([10.0**-n for n in range(8)], "log"),
    ],
)
def test_axis_suits_the_values(values, kind):
    assert axis_of(values).kind == kind


def test_numbers_on_a_category_axis_are_in_their_order():
    assert axis_of([16, 4, 8, 16]).names == ("4", "8", "16")


def test_share_is_the_position_on_a_logarithmic_axis():
    values = list(np.geomspace(1e-5, 1e-1, 9))
    axis = axis_of(values)
    np.testing.assert_allclose([axis.share(value) for value in values], np.linspace(0, 1, 9), atol=1e-12)
    assert [text for _, text in axis.ticks()] == ["1e-05", "0.001", "0.1"]


def test_share_of_a_category_is_its_place():
    axis = axis_of(["b", "a", "c"])
    assert [axis.share(name) for name in ("a", "b", "c")] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("value", "text"), [("x/y/bert-base", "bert-base"), (0.000123456, "0.0001235"), (None, "null"), ([1, 2], "[1, 2]")]
)
def test_text_of_a_value(value, text):
    assert text_of(value) == text
