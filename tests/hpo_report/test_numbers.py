"""Rows, requirements, candidates and sentences of a report."""

import pytest
from search_samples import search, study_report, trials
from trial_reports import report

from redsm5.hpo.records import Records
from redsm5.hpo_report.gather import rows, side_by_side
from redsm5.hpo_report.models import Importance
from redsm5.hpo_report.requirements import requirements
from redsm5.hpo_report.summary import summary
from redsm5.hpo_report.tables import requirement_table
from redsm5.report.study_models import Counts, Shares

DONE = {"budget": 60}


@pytest.mark.parametrize(
    ("direction", "expected"), [("maximize", [None, 0.4, 0.4, 0.4, 0.9]), ("minimize", [None, 0.4, 0.2, 0.2, 0.2])]
)
def test_best_so_far_is_of_complete_trials_only(direction, expected):
    states = ["FAIL", "COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    values = [None, 0.4, 0.2, 0.1 if direction == "minimize" else 1.0, 0.9]
    made = tuple(report(n, value, state) for n, (value, state) in enumerate(zip(values, states, strict=True)))
    found = rows(Records(made, (), 0), {2: {1: 0.3, 0: 0.1}}, direction)
    assert [row.best for row in found] == expected
    assert found[2].curve == [(0, 0.1), (1, 0.3)]


SHARES = {"pruned": 0.3, "pruned_by_epoch_5": 0.2, "stopped_early": 0.3, "stopped_early_of_complete": 0.5}
SECONDS = {"sampling": 30.0, "pretraining": 0.0, "start": 60.0, "fits": 600.0, "storage": 6.0, "wall": 400.0}
COUNTS = {"complete": 40, "pruned": 20, "failed": 0, "running": 0, "lost_attempts": 0}
BOUNDS = {"shares": SHARES, "seconds": SECONDS, "counts": COUNTS, "first_within_one_percent": 18, **DONE}


@pytest.mark.parametrize(
    ("place", "beyond"),
    [
        (0, {"shares": SHARES | {"pruned_by_epoch_5": 0.199}}),
        (1, {"shares": SHARES | {"stopped_early_of_complete": 0.499}}),
        (2, {"first_within_one_percent": 19}),  # of 60
        (3, {"counts": COUNTS | {"complete": 39, "failed": 1}}),
        (4, {"seconds": SECONDS | {"storage": 6.1}}),
        (5, {"seconds": SECONDS | {"start": 60.1}}),
    ],
)
def test_requirements_are_met_at_their_bounds_and_not_beyond(place, beyond):
    def met(**changes):
        facts = BOUNDS | changes
        facts |= {"shares": Shares(**facts["shares"]), "counts": Counts(**facts["counts"])}
        return [one.met for one in requirements(study_report(trials(), **facts))]

    assert met() == [True] * 6
    assert met(**beyond) == [number != place for number in range(6)]


def test_requirements_without_trials_are_not_known():
    assert {one.met for one in requirements(study_report([]))} == {None}


def test_search_without_a_pruner_is_not_held_to_pruning():
    shares = Shares(**SHARES | {"pruned": 0.0, "pruned_by_epoch_5": 0.0})
    facts = BOUNDS | {"shares": shares, "counts": Counts(**COUNTS)}
    found = requirements(study_report(trials(), **facts, pruner="NopPruner"))
    assert [one.met for one in found] == [True] * 5
    assert "pruned in the first" not in found[0].what


def test_requirements_of_a_search_that_goes_on_are_met_so_far_or_not_yet_known():
    going = search(first_within_one_percent=12)  # 60 of 100
    marks = [row[-1] for row in requirement_table(going).rows]
    assert marks == ["met so far", "not met so far", "not yet known", "not met so far", "met so far", "met so far"]
    said = " ".join(going.summary)
    assert (
        "Not as required so far: share of the trials that neither failed nor were pruned stopped early; failed" in said
    )
    assert "Not known yet: first trial within 1 % of the best value." in said
    over = search(first_within_one_percent=12, **DONE)
    assert [row[-1] for row in requirement_table(over).rows][2] == "met"
    assert "so far:" not in " ".join(over.summary)


def test_candidates_show_where_they_differ():
    first, second = trials()[1], trials()[5]
    candidates, same = side_by_side([first, second])
    assert same == {"y": 1, "model.peft": "LoRA"}
    assert [one.differs for one in candidates] == [
        {"x.lr": first.params["lr"]}, {"x.lr": second.params["lr"]}
    ]  # fmt: skip


@pytest.mark.parametrize("turned", [False, True])
def test_a_setting_that_is_null_is_another_than_one_that_is_not_set(turned):
    both = [report(0, 0.5, settings={"a": None, "b": None, "y": 1}), report(1, 0.4, settings={"b": None, "y": 1})]
    candidates, same = side_by_side(both[::-1] if turned else both)
    assert same == {"b": None, "y": 1}
    assert [one.differs for one in candidates] == [{"a": None}, {"a": None}]


def test_summary_says_counts_best_and_shares():
    said = " ".join(search().summary)
    assert said.startswith("60 of 100 trials have ended: 39 trained to their end, 20 were pruned, 1 failed; 40 are")
    assert "Of the trials that did not fail, pruning ended 30%, and 25% in their first five epochs;" in said
    assert "early stopping ended 40% of those that were not pruned." in said


def test_summary_names_only_what_is_above_chance():
    shares = {"a": (0.5, 0.1), "b": (0.2, 0.3), "c": (0.3, 0.2)}

    def said(*names):
        made = [
            Importance(name=n, group="g", importance=shares[n][0], floor=shares[n][1], active=1.0, best=None)
            for n in names
        ]
        return " ".join(summary(study_report(trials()), made, [], [], None, None))

    assert "whether a trial was among the best tenth: a (50%), c (30%);" in said("a", "c", "b")
    assert "No parameter decided more than chance would" in said("b")
    assert "What the parameters did cannot be said: the values of the trials hardly differ." in said()
    few = summary(study_report(trials(40)), [], [], [], None, None)
    assert "What the parameters did cannot be said: that takes 50 trials with a value." in few


def test_summary_without_a_complete_trial_says_so():
    said = search(1).summary
    assert said[1] == "None was trained to its end, so that there is no best one."
    assert said[2].startswith("Of the trials that did not fail, pruning ended 30%")
    assert any(sentence.startswith("Not as required so far: ") for sentence in said)
    assert said[-1].startswith("From the first trial to the last it took")


def test_json_of_a_report_reads_back():
    found = search()
    assert type(found).model_validate_json(found.model_dump_json()) == found
