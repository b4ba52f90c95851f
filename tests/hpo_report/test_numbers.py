"""Rows, requirements, candidates and sentences of a report."""

import math

import pytest
from search_samples import search, study_report, trials

from redsm5.hpo_report.gather import side_by_side
from redsm5.hpo_report.requirements import requirements


def test_best_so_far_counts_complete_trials_only():
    report = search()
    best = -math.inf
    for row in report.trials:
        if row.state == "COMPLETE":
            best = max(best, row.value)
        assert row.best == (None if math.isinf(best) else best)


def test_requirements_are_met_at_their_bounds():
    made = trials()
    met = {one.what: one.met for one in requirements(study_report(made, first_within_one_percent=30))}
    assert met == {
        "share of trials pruned in the first five epochs": True,
        "share of the trials that were not pruned that early stopping ended": False,
        "first trial within 1 % of the best value": True,  # 30 of a budget of 100
        "failed trials": False,
        "seconds of sampler and storage per trial": True,
        "seconds to start a trial": True,
    }
    found = {one.what: one.found for one in requirements(study_report(made, first_within_one_percent=31))}
    assert found["seconds of sampler and storage per trial"] == pytest.approx(12 / 60)
    assert found["seconds to start a trial"] == pytest.approx(30 / 60)


def test_requirements_without_trials_are_not_known():
    assert {one.met for one in requirements(study_report([]))} == {None}


def test_candidates_show_where_they_differ():
    first, second = trials()[1], trials()[5]
    candidates, same = side_by_side([first, second])
    assert same == {"y": 1, "model.peft": "LoRA"}
    assert [one.differs for one in candidates] == [
        {"x.lr": first.params["lr"]}, {"x.lr": second.params["lr"]}
    ]  # fmt: skip


def test_summary_says_counts_best_and_what_is_missed():
    said = " ".join(search().summary)
    assert said.startswith("60 of 100 trials have ended: 39 trained to their end, 20 were pruned, 1 failed; 40 are")
    assert "The test part has not been looked at." in said
    assert "What decided most whether a trial was among the best tenth: lr (" in said
    assert "Not as required: share of the trials that were not pruned that early stopping ended, " in said


def test_summary_without_a_complete_trial_says_so():
    said = search(1).summary
    assert said[-1] == "None was trained to its end, so that there is no best one."
