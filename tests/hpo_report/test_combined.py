"""What a report shows of ensemble.json."""

from datetime import UTC, datetime

import pytest
from report_samples import small_evaluation
from search_samples import search

from redsm5.ensemble.combination import Combination
from redsm5.ensemble.models import Compared, Ensemble, Member
from redsm5.hpo_report import combined
from redsm5.hpo_report.markdown import markdown
from redsm5.hpo_report.page import render
from redsm5.metrics.evaluation import Interval


def arm(name, kind, trials, f1, gain=None, ends=None):
    return Compared(
        name=name, kind=kind, trials=trials, weights=(1 / len(trials),) * len(trials),
        scores={"tuned_f1_macro": f1, "fold_auprc_macro": 0.9}, intervals={},
        gains={} if gain is None else {"tuned_f1_macro": gain},
        gain_intervals={} if ends is None else {"tuned_f1_macro": Interval(low=ends[0], high=ends[1])},
    )  # fmt: skip


def ensemble(gain=0.02):
    """Of two trials."""
    return Ensemble(
        created=datetime(2026, 1, 3, tzinfo=UTC), redsm5="0.1.0", study="s", corpus_sha256="0" * 64,
        objective="val_f1_macro", direction="maximize", trials=60, posts=90, authors=70, folds=5, level=0.95,
        resamples=1000,
        members=tuple(Member(trial=n, value=0.8, encoder="e", weight=0.5, folder=None, sha256=None) for n in (4, 2)),
        chosen="mean, equal weights",
        combination=Combination(
            combine="mean", weights=(0.5, 0.5), ranks=None, scaling=None, agreement=0.3, max_spans=3, nms_iou=0.5
        ),
        thresholds={},
        evaluation=small_evaluation(),
        compared=(
            arm("trial 4", "single", (4,), 0.8, 0.0, (0.0, 0.0)),
            arm("trial 2", "single", (2,), 0.7, -0.1, (-0.2, 0.0)),
            arm("mean, equal weights", "ensemble", (4, 2), 0.8 + (gain or 0), gain, (-0.01, 0.05) if gain else None),
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def report():
    return search(combined=combined.combined_of(ensemble()))


def test_table_has_all_that_was_compared_and_marks_what_was_exported(report):
    table = combined.combined_table(report)
    assert table.head == ("what", "macro F1", "at .5", "AUPRC", "hit@1", "chars", "gain", "95 % interval")
    assert table.rows == (
        ("trial 4", "0.8000", "–", "0.9000", "–", "–", "–", "–"),
        ("trial 2", "0.7000", "–", "0.9000", "–", "–", "-0.1000", "-0.2000 to +0.0000"),
        ("mean, equal weights *", "0.8200", "–", "0.9000", "–", "–", "+0.0200", "-0.0100 to +0.0500"),
    )


def test_points_are_gains_with_their_intervals(report):
    (points,) = combined.gain_points(report).to_dict()["data"]
    assert list(points["y"]) == ["mean, equal weights *", "trial 2"]  # the first compared on top
    assert list(points["x"]) == [0.02, -0.1]
    assert list(points["error_x"]["array"]) == pytest.approx([0.03, 0.1])
    assert list(points["error_x"]["arrayminus"]) == pytest.approx([0.03, 0.1])


def test_it_is_in_the_page_the_markdown_the_json_and_the_summary(report):
    said = (
        "The ensemble of trials 4, 2 (mean, equal weights) is +0.0200 in macro F1 against trial 4 on the validation "
        "part, 95 % interval -0.0100 to +0.0500."
    )
    assert said in report.summary
    for text in (render(report), markdown(report)):
        assert "-0.0100 to +0.0500" in text
        assert "on the 90 validation posts by 70 authors, when 60 trials had ended" in text
    assert report.model_dump()["combined"]["compared"][2]["gain_interval"] == {"low": -0.01, "high": 0.05}


def test_gain_that_is_undefined_is_said():
    report = search(combined=combined.combined_of(ensemble(gain=None)))
    assert any("could not be compared with trial 4" in sentence for sentence in report.summary)


def test_without_an_ensemble_there_is_nothing():
    assert "Combined" not in markdown(search())
