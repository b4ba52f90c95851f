"""Calibrated probabilities of an exported model."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

import redsm5
from redsm5.cli import main
from redsm5.datamodules.corpus import Criterion
from redsm5.datamodules.reading import read_corpus
from redsm5.errors import UserError
from redsm5.inference.calibrated import Calibration, Shipped, read_calibration
from redsm5.inference.export import export
from redsm5.inference.manifest import Manifest
from redsm5.inference.model_files import sha256_of
from redsm5.metrics.platt import Platt
from redsm5.metrics.records import PredictedPost

probability = st.floats(0, 1)
OWN = (Criterion("A", "A", "A"), Criterion("B", "B", "B"))


def decided(probabilities, thresholds):
    return [[p >= t for p, t in zip(own, thresholds, strict=True)] for own in probabilities]


@given(
    st.lists(probability, min_size=1, max_size=20),
    probability,
    st.one_of(st.just(0.0), st.floats(0, 60)),
    st.floats(-60, 60),
)
@settings(deadline=None)
def test_decisions_are_those_of_the_raw_threshold_whatever_the_map(found, threshold, slope, offset):
    calibration = Calibration((Platt(slope, offset),), (threshold,))
    posts = [PredictedPost(str(i), (p,), ((),)) for i, p in enumerate([*found, threshold, np.nextafter(threshold, 0)])]
    calibrated = calibration(posts)
    assert all(0 <= post.probabilities[0] <= 1 for post in calibrated)
    raw = decided([post.probabilities for post in posts], (threshold,))
    assert decided([post.probabilities for post in calibrated], calibration.thresholds) == raw


def test_probabilities_go_through_the_map_of_their_criterion():
    calibration = Calibration((Platt(0.5, -1.0), Platt(2.0, 0.25)), (0.4, 0.6))
    [post] = calibration([PredictedPost("p", (0.7, 0.2), ((), ()))])
    assert post.probabilities == pytest.approx((expit(0.5 * logit(0.7) - 1), expit(2 * logit(0.2) + 0.25)))
    assert calibration.thresholds == pytest.approx((expit(0.5 * logit(0.4) - 1), expit(2 * logit(0.6) + 0.25)))
    assert calibration([]) == []


@pytest.mark.parametrize(
    "text",
    [
        "{", "[]", '{"A": {"slope": 1, "offset": 0}}', '{"A": {"slope": 1, "offset": 0}, "B": {"slope": 1}}',
        '{"A": {"slope": 1, "offset": 0}, "B": {"slope": -1, "offset": 0}}',
        '{"A": {"slope": 1, "offset": 0}, "B": {"slope": NaN, "offset": 0}}',
        '{"A": {"slope": 1, "offset": 0}, "B": {"slope": true, "offset": 0}}',
        '{"A": {"slope": 1, "offset": 0}, "B": {"slope": 1, "offset": 0, "more": 1}}',
    ],
)  # fmt: skip
def test_calibration_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "calibration.json").write_text(text)
    with pytest.raises(UserError, match=r"calibration\.json does not hold a slope and an offset per criterion"):
        read_calibration(tmp_path / "calibration.json", OWN, (0.5, 0.5))


@pytest.fixture(scope="module")
def shipped(tiny_corpus_dir):
    """Thresholds at which some posts are decided, and maps that change much; one is flat."""
    corpus, _ = read_corpus(path=str(tiny_corpus_dir))
    return Shipped(
        thresholds={code: 0.1 + 0.08 * k for k, code in enumerate(corpus.codes)},
        maps={code: Platt(0.3 * k, k - 3.0) for k, code in enumerate(corpus.codes)},
    )


@pytest.fixture(scope="module")
def calibrated(trained_run, shipped, tmp_path_factory):
    out = tmp_path_factory.mktemp("calibrated") / "model"
    export(trained_run, out, shipped=shipped)
    return out


def test_calibrated_export_decides_at_the_raw_thresholds_and_reads_its_probabilities(
    calibrated, trained_run, shipped, tiny_corpus_dir
):
    texts = [post.text for post in read_corpus(path=str(tiny_corpus_dir))[0].posts]
    plain, model = redsm5.load(trained_run), redsm5.load(calibrated)
    assert (plain.calibrated, model.calibrated) == (False, True)
    seen = set()
    for raw, found in zip(plain.predict(texts), model.predict(texts), strict=True):
        assert found.spans == raw.spans
        for code, platt in shipped.maps.items():
            expected = platt(np.array([raw.probabilities[code]]))[0]
            assert found.probabilities[code] == pytest.approx(expected, abs=1e-6)
            assert found.decisions[code] == (raw.probabilities[code] >= shipped.thresholds[code])
            seen.add(found.decisions[code])
    assert seen == {True, False}


def test_calibrated_export_lists_its_calibration(calibrated, shipped):
    manifest = Manifest.model_validate_json((calibrated / "manifest.json").read_text())
    assert manifest.files["calibration.json"] == sha256_of(calibrated / "calibration.json")
    assert json.loads((calibrated / "thresholds.json").read_text()) == shipped.thresholds
    card = (calibrated / "README.md").read_text()
    assert "# per criterion, calibrated" in card
    assert "the model decides at others" in card
    (calibrated / "calibration.json").write_text("{}")
    with pytest.raises(UserError, match=r"calibration\.json is damaged"):
        redsm5.load(calibrated)
    (calibrated / "calibration.json").write_text(shipped.calibration_json)


def test_predict_writes_calibrated_probabilities_and_thresholds(calibrated, shipped, tmp_path):
    out = tmp_path / "out.jsonl"
    assert main(["predict", str(calibrated), "--text", "I have not slept for weeks.", "--out", str(out)]) == 0
    for line in out.read_text().splitlines():
        row = json.loads(line)
        raw, platt = shipped.thresholds[row["criterion"]], shipped.maps[row["criterion"]]
        assert row["threshold"] == pytest.approx(float(platt(np.array([raw]))[0]), abs=1e-6)


def test_calibration_of_other_criteria_is_refused(trained_run, tmp_path):
    with pytest.raises(UserError, match="of other criteria than the model"):
        export(trained_run, tmp_path / "model", shipped=Shipped({"A": 0.5}, {"A": Platt()}))
    assert not (tmp_path / "model").exists()
