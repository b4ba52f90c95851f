import optuna
import pytest
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from search_samples import GROUPS, distributions, trials

from redsm5.hpo_report.importance import comparable, group_importances, importances


@pytest.fixture(scope="module")
def made():
    return trials(120)


def found(made, direction="maximize"):
    return importances(comparable(made, distributions(made), direction), GROUPS, {"lr": 0.01})


@pytest.mark.filterwarnings("ignore")
def test_importances_are_those_of_optuna_over_trials_with_a_value(made):
    study = optuna.create_study(direction="maximize")
    for one in made:
        if one.state != "FAIL":
            study.add_trial(
                optuna.create_trial(value=one.value, params=one.params, distributions=distributions(made)[one.trial])
            )
    expected = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    assert {one.name: one.importance for one in found(made)} == pytest.approx(expected)


def test_parameter_that_makes_trials_good_comes_first(made):
    ranked = found(made)
    assert ranked[0].name == "lr"
    assert ranked[0].importance > 5 * next(one for one in ranked if one.name == "noise").importance
    assert ranked[0].best == 0.01
    assert sum(one.importance for one in ranked) == pytest.approx(1.0)


def test_share_of_trials_in_which_a_parameter_is_active(made):
    active = {one.name: one.active for one in found(made)}
    good = [one for one in made if one.state != "FAIL"]
    assert active["lr"] == 1.0
    assert active["rank"] == sum("rank" in one.params for one in good) / len(good)


def test_direction_decides_which_trials_are_the_best(made):
    flipped = [one.model_copy(update={"value": None if one.value is None else -one.value}) for one in made]
    one, other = found(made), found(flipped, "minimize")
    assert {p.name: p.importance for p in other} == pytest.approx({p.name: p.importance for p in one})


def test_groups_are_sums_over_their_parameters(made):
    parameters = found(made)
    groups = {one.name: one for one in group_importances(parameters)}
    assert groups["peft"].parameters == 2
    share = {one.name: one.importance for one in parameters}
    assert groups["peft"].importance == pytest.approx(share["peft"] + share["rank"])


def test_few_trials_say_nothing():
    assert found(trials(9)) == []
