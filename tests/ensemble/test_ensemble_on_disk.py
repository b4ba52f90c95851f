"""Which ensemble.json of a study counts."""

import pytest
from confirmed_samples import ensemble
from trial_reports import report

from redsm5.ensemble.on_disk import read_ensemble

REPORTS = {4: report(4, 0.82), 2: report(2, 0.8)}


@pytest.fixture
def study(tmp_path):
    (tmp_path / "ensemble").mkdir()
    made = ensemble((4, 0.82), (2, 0.8))
    (tmp_path / "ensemble" / "ensemble.json").write_text(made.model_dump_json(), encoding="utf-8")
    return tmp_path


def test_read_ensemble_of_the_trials_that_are_there(study):
    told = []
    found = read_ensemble(study, REPORTS, told.append)
    assert [one.trial for one in found.members] == [4, 2]
    assert told == []


def test_read_ensemble_without_one_is_none(tmp_path):
    told = []
    assert read_ensemble(tmp_path, REPORTS, told.append) is None
    assert told == []


@pytest.mark.parametrize("reports", [{4: REPORTS[4]}, {4: REPORTS[4], 2: report(2, 0.7)}])
def test_read_ensemble_of_other_trials_leaves_it_out_and_says_so(study, reports):
    told = []
    assert read_ensemble(study, reports, told.append) is None
    (line,) = told
    assert line.endswith("ensemble.json is of other trials than are there now (trial 2), and left out")


def test_read_ensemble_of_another_version_leaves_it_out_and_says_so(study):
    (study / "ensemble" / "ensemble.json").write_text('{"ensemble_version": 0}', encoding="utf-8")
    told = []
    assert read_ensemble(study, REPORTS, told.append) is None
    assert "ensemble.json is of another version of redsm5, and left out" in told[0]
