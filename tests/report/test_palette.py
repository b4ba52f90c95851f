"""Contrast of the view page's colours by WCAG 2.2, in both schemes."""

import re
from importlib.resources import files

import numpy as np
import pytest

STYLE = (files("redsm5.report") / "page" / "view.css").read_text(encoding="utf-8")
PALETTE = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\);", STYLE)
}
SCHEMES = ("light", "dark")
CRITERIA = [f"c{k}" for k in range(9)]
GROUNDS = ("paper", "panel", "chosen")
HEATS = {int(share) for share in re.findall(r"\.heat\d .*var\(--accent\) (\d+)%", STYLE)}
TINT = int(re.search(r"--tint: (\d+)%", STYLE)[1])

# Björn Ottosson's OKLab, as in CSS Color 4
LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def linear(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def mixed(over, under, percent):
    def oklab(rgb):
        return LAB @ np.cbrt(LMS @ rgb)

    lab = percent / 100 * oklab(over) + (1 - percent / 100) * oklab(under)
    return np.clip(np.linalg.inv(LMS) @ (np.linalg.inv(LAB) @ lab) ** 3, 0, 1)


def contrast(a, b):
    weights = np.array([0.2126, 0.7152, 0.0722])
    high, low = sorted((float(weights @ a), float(weights @ b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21():
    assert contrast(linear("#000000"), linear("#ffffff")) == pytest.approx(21)
    assert contrast(linear("#777777"), linear("#ffffff")) == pytest.approx(4.48, abs=0.005)  # WebAIM's checker


def test_palette_names_what_the_tests_need():
    assert {*CRITERIA, *GROUNDS, "ink", "soft", "accent", "edge", "notice"} <= PALETTE.keys()
    assert len(HEATS) == 5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("text", "ground"),
    [*((text, ground) for text in ("ink", "soft") for ground in GROUNDS), ("ink", "notice"), ("accent", "paper")],
)
def test_text_stands_out_by_4_5_to_1(scheme, text, ground):
    assert contrast(linear(PALETTE[text][scheme]), linear(PALETTE[ground][scheme])) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("criterion", [*CRITERIA, "edge"])
def test_text_on_the_tint_of_a_span_stands_out_by_4_5_to_1(scheme, criterion):
    ground = mixed(linear(PALETTE[criterion][scheme]), linear(PALETTE["paper"][scheme]), TINT)
    assert contrast(linear(PALETTE["ink"][scheme]), ground) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("share", sorted(HEATS))
def test_text_on_the_cells_of_the_matrix_stands_out_by_4_5_to_1(scheme, share):
    ground = mixed(linear(PALETTE["accent"][scheme]), linear(PALETTE["paper"][scheme]), share)
    assert contrast(linear(PALETTE["ink"][scheme]), ground) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("graphic", [*CRITERIA, "edge", "accent"])
def test_marks_and_lines_stand_out_by_3_to_1(scheme, graphic, ground):
    assert contrast(linear(PALETTE[graphic][scheme]), linear(PALETTE[ground][scheme])) >= 3
