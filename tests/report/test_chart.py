import re
from itertools import pairwise

import pytest

from redsm5.report.chart import BOTTOM, LEFT, RIGHT, TOP, Chart, tick_text, ticks


def test_chart_places_values_between_its_margins():
    chart = Chart("name", "x", "y", strip=40)
    assert (chart.x(0), chart.x(1)) == (LEFT, chart.width - RIGHT)
    assert (chart.y(0), chart.y(1)) == (chart.height - BOTTOM - 40, TOP)
    assert chart.x(0.5) == (chart.x(0) + chart.x(1)) / 2


def test_chart_steps_go_to_a_points_height_before_they_go_across():
    chart = Chart("name", "x", "y")
    path = chart.steps([(0.5, 1.0), (0.5, 0.75), (0.5, 0.25), (1.0, 0.5)], "curve")
    moves = re.findall(r"[MVH][\d.,]+", path)
    y = {value: f"{chart.y(value):.1f}".removesuffix(".0") for value in (1.0, 0.75, 0.25, 0.5)}
    half, whole = chart.x(0.5), chart.x(1)
    assert moves[1:] == [f"V{y[1.0]}", f"H{half:g}", f"V{y[0.25]}", f"V{y[0.5]}", f"H{whole:g}"]


def test_chart_is_an_image_with_a_name_and_escapes_it():
    drawn = Chart("a < b", "x", "y").draw()
    assert 'role="img" aria-label="a &lt; b"' in drawn
    assert "style=" not in drawn  # the page's policy refuses it


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 0.07), (2.1, 2.15), (0, 17.4), (-3, 4), (5, 5), (0, 0), (0.2, 1e6)]
)
def test_ticks_enclose_the_values_evenly(low, high):
    found = ticks(low, high)
    assert found[0] <= low + 1e-9
    assert found[-1] >= high - 1e-9
    gaps = [b - a for a, b in pairwise(found)]
    assert 1 <= len(gaps) <= 6
    assert max(gaps) == pytest.approx(min(gaps))


@pytest.mark.parametrize(
    ("value", "among", "text"),
    [(0.25, (0, 0.25, 0.5), ".25"), (1.0, (0, 0.25), "1"), (0.0, (0, 0.1), "0"), (0.5, (0, 0.5, 1), ".5"),
     (2000, (0, 1000), "2,000"), (2.125, (2.1, 2.125, 2.15), "2.125")],
)  # fmt: skip
def test_tick_text_has_the_decimals_it_needs(value, among, text):
    assert tick_text(value, among) == text
