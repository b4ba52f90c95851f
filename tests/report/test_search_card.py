"""What the card of a model says of the search that it is from."""

import pytest
from confirmed_samples import confirmation, ensemble, study, trial

from redsm5.hpo_report.models import Importance
from redsm5.report.search_card import Origin, search_sections
from redsm5.report.study_models import FrontTrial


def test_card_says_how_the_trial_was_found_and_how_it_was_tested():
    text = search_sections(Origin(trial(), 2, study()))
    assert text.startswith(
        "## How it was found\n\n- the search: 30 trials asked for; 19 trained to their end, 8 pruned,"
    )
    for said in (
        "3 failed; 124 dimensions, sampler TPESampler, pruner MedianPruner, seed 5",
        "trial 3 of a hyperparameter search with redsm5, rank 2 of 19 that were trained to their end",
        "`f1_macro` on the validation part: 0.800",
        "best value of the search: 0.820, of trial 7",
        "looked at the test part once",
        "this trial on the test part: `f1_macro` 0.667 (95 % interval ",
        "optimism of the search, validation less test: +0.133",
    ):
        assert said in text
    assert "Whether it holds" not in text
    assert "ada" not in text
    assert "several objectives" not in text


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (Origin(trial()), "the search has not ended"),
        (Origin(trial(), None, study(tested=7, looks=2)), "what was tested is trial 7, not this one"),
        (Origin(trial(), None, study(tested=7, looks=2)), "looked at the test part 2 times"),
        (Origin(trial(), None, study(tested=7), tested=True), "evaluated on the test part besides"),
        (Origin(trial(), 2, study(), again=True), "this model is the config of that trial trained again: the figures"),
        (Origin(trial(), 2, study(), again=True, tested=True), "this model was evaluated on the test part besides"),
        (Origin(trial(), None, study(several=True)), "`val_f1_macro` (maximized), `peak_memory` (minimized)"),
        (Origin(trial(), None, None, confirmation((7, 0.7))), "This trial was not among them."),
        (Origin(trial(), None, None, confirmation((7, 0.7), (3, None))), "is not confirmed: 2 of its trainings"),
    ],
)
def test_card_says_what_is_not_so(origin, said):
    assert said in search_sections(origin)


def importance(name, found, floor):
    return Importance(name=name, group="training", importance=found, floor=floor, active=1.0, best=None)


@pytest.mark.parametrize("searched", [study(), None])
def test_card_says_what_mattered_with_what_the_trial_has(searched):
    one = trial(params={"lr": 0.00123456, "peft": "LoRA", "freeze": 2, "alpha": None, "clip": 1})
    found = [
        importance("lr", 0.5, 0.1), importance("r", 0.2, 0.1), importance("peft", 0.1, 0.05),
        importance("gamma", 0.08, 0.2), importance("freeze", 0.05, 0.01), importance("alpha", 0.04, 0.01),
        importance("clip", 0.03, 0.01),
    ]  # fmt: skip
    text = search_sections(Origin(one, None, searched, importances=found))
    assert text.count("what decided most") == 1
    named = "`lr` 50% (0.00123), `r` 20% (not active), `peft` 10% (LoRA), `freeze` 5% (2), `alpha` 4% (none)"
    assert f", with what this trial has: {named}" in text
    assert "gamma" not in text
    assert "clip" not in text  # the sixth
    text = search_sections(Origin(one, None, searched, importances=found[3:4]))
    assert "no parameter decided more than chance would" in text
    assert "decided" not in search_sections(Origin(one, None, searched))


def test_card_of_the_confirmed_best_compares_it_with_all_others():
    text = search_sections(Origin(trial(), 1, study(), confirmation((3, 0.65), (7, 0.61), (9, 0.6))))
    for said in (
        "best 3 trials were trained again on 3 seeds x 5 folds of the 102 training and validation posts by 60 authors",
        "`f1_macro` on the folds: 0.650 (95 % interval 0.550 to 0.750), mean over 15 trainings; place 1 of 3; as the",
        "difference to the search: +0.150",
        "these trainings had 67 posts, those of the search 84",
        "had not seen, of all folds: 0.660; on those 84 posts alone that took no part in choosing it: 0.670",
        "| trial 3 less trial 7 | +0.040 | -0.020 to +0.100 | 0.400 | +0.050 | 0.020 |",
        "| trial 3 less trial 9 |",
        "by Holm over 2 pairs, not corrected for trial 3 being the best",
    ):
        assert said in text
    assert "Thresholds and calibration" not in text


def test_card_says_on_how_many_folds_the_metric_is_defined():
    found = confirmation((3, 0.65))
    some, none = ({"refits": 12}, {"refits": 0, "mean": None, "pooled_value": None, "pooled": None})
    for change, said in (
        (some, "mean over 15 trainings (12 of them: on the other folds it is undefined); place 1 of 1"),
        (none, "This trial is not confirmed: `f1_macro` is undefined on all of its folds."),
    ):
        one = found.candidates[0].model_copy(update=change)
        changed = found.model_copy(update={"candidates": [one]})
        assert said in search_sections(Origin(trial(), 1, study(), changed))


def test_card_of_another_candidate_has_its_own_pair_only():
    text = search_sections(Origin(trial(9), 3, study(), confirmation((3, 0.65), (7, 0.61), (9, 0.6))))
    assert "place 3 of 3\n" in text
    assert "| trial 3 less trial 9 |" in text
    assert "less trial 7" not in text


def test_card_of_a_confirmed_export_lists_thresholds_and_calibration():
    text = search_sections(Origin(trial(), 1, study(), confirmation((3, 0.65)), confirmed=True))
    # sigmoid(0.5 * logit(0.3) - 1) = 0.1941
    assert "| SLEEP | 2 | 0.30 | 0.50 | -1.00 | 0.19 |" in text
    assert "0.200 before, 0.050 after" in text
    assert "at 0.5: 0.610; at thresholds from the other folds: 0.660" in text
    assert "the same for every post" not in text


def test_card_of_a_confirmed_export_names_criteria_whose_calibration_is_flat():
    found = confirmation((3, 0.65))
    sleep = found.candidates[0].pooled.thresholds[0]
    flat = [sleep.model_copy(update={"code": "ANGER", "slope": 0.004}), sleep]
    pooled = found.candidates[0].pooled.model_copy(update={"thresholds": flat})
    changed = found.model_copy(update={"candidates": [found.candidates[0].model_copy(update={"pooled": pooled})]})
    text = search_sections(Origin(trial(), 1, study(), changed, confirmed=True))
    assert "- the calibrated probability of ANGER is the same for every post" in text


def test_card_of_one_candidate_on_one_seed_is_in_the_singular():
    found = confirmation((3, 0.65)).model_copy(update={"seeds": [1]})
    text = search_sections(Origin(trial(), 1, study(), found))
    assert "The best trial was trained again on 1 seed x 5 folds of the 102" in text


def test_trial_that_the_search_has_tested_is_not_tested_besides():
    text = search_sections(Origin(trial(), 2, study(), tested=True))
    assert "besides" not in text
    assert "trained again" not in text


@pytest.mark.parametrize(("number", "where"), [(3, "on"), (4, "not on")])
def test_card_has_the_values_of_several_objectives_and_whether_the_front_has_the_trial(number, where):
    front = [FrontTrial(trial=n, objectives={}, params={}) for n in (7, 3)]
    one = trial(number, objectives={"val_f1_macro": 0.8, "peak_memory": 3.25})
    text = search_sections(Origin(one, None, study(several=True).model_copy(update={"front": front})))
    said = (
        f"- this trial has val_f1_macro 0.8000, peak_memory 3.25 GB; it is {where} the Pareto front, which has 2 trials"
    )
    assert said in text
    assert "this trial has val_f1_macro 0.8000, peak_memory 3.25 GB\n" in search_sections(Origin(one))


@pytest.mark.parametrize(("number", "member"), [(3, "a member"), (4, "no member")])
def test_card_says_how_the_ensemble_compares(number, member):
    text = search_sections(Origin(trial(number), ensemble=ensemble((7, 0.82), (3, 0.8))))
    said = (
        "- the ensemble of trials 7, 3 (mean, equal): +0.012 (95 % interval -0.010 to +0.034) in macro F1 at tuned "
        f"thresholds against trial 7, the best single one, on folds of the validation part; this trial is {member}"
    )
    assert said in text
    assert "ensemble" not in search_sections(Origin(trial(number)))
