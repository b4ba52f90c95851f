import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from search_samples import GROUPS, distributions, trials
from trial_reports import report

from redsm5.hpo_report.importance import comparable, floors_of, group_importances, importances, within_blocks
from redsm5.hpo_report.models import Importance


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


def test_parameters_that_make_trials_good_are_above_chance_and_noise_is_not(made):
    ranked = found(made)
    above = {one.name for one in ranked if one.above}
    assert {"lr", "peft"} <= above
    assert "noise" not in above
    assert next(one for one in ranked if one.name == "lr").best == 0.01
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
    assert {p.name: p.floor for p in other} == pytest.approx({p.name: p.floor for p in one})


def test_groups_are_sums_of_what_is_above_the_floor():
    shares = {"a": (0.5, "one"), "b": (0.25, "one"), "c": (0.08, "two"), "d": (0.17, "two")}
    made = [
        Importance(name=name, group=group, importance=share, floor=0.1, active=1.0, best=None)
        for name, (share, group) in shares.items()
    ]
    groups = {one.name: one for one in group_importances(made)}
    assert groups["one"].importance == pytest.approx(0.4 + 0.15)
    assert groups["two"].importance == pytest.approx(0.07)
    assert groups["two"].parameters == 2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_group_of_much_noise_is_nothing(seed):
    draw = np.random.default_rng(seed)
    space = {"real": FloatDistribution(0.0, 1.0)} | {f"noise{n}": FloatDistribution(0.0, 1.0) for n in range(33)}
    reports = []
    for n in range(300):
        params = {name: float(draw.uniform()) for name in space}
        reports.append(report(n, params["real"] + 0.1 * float(draw.normal()), params=params))
    groups = {name: "real" if name == "real" else "noise" for name in space}
    ranked = importances(comparable(reports, dict.fromkeys(range(300), space), "maximize"), groups, {})
    plain = sum(one.importance for one in ranked if one.group == "noise")
    assert plain > 0.1  # which is what the sum would say
    summed = {one.name: one.importance for one in group_importances(ranked)}
    assert summed["noise"] < 0.01
    assert summed["real"] > 0.5


@pytest.mark.parametrize("seed", range(5))
def test_what_a_search_only_narrowed_while_it_got_better_is_no_more_than_chance(seed):
    """A sampler settles on one of four by the way, and finds better values by a parameter that does all."""
    draw = np.random.default_rng(seed)
    idle = CategoricalDistribution(["a", "b", "c", "d"])
    space = {"real": FloatDistribution(0.0, 1.0), "idle": idle}
    reports = []
    for n in range(400):
        learned = n / 400
        params = {
            "real": min(1.0, learned / 2 + 0.5 * float(draw.uniform())),
            "idle": "a" if draw.uniform() < learned else str(draw.choice(["a", "b", "c", "d"])),
        }
        reports.append(report(n, params["real"] + 0.02 * float(draw.normal()), params=params))
    ranked = importances(comparable(reports, dict.fromkeys(range(400), space), "maximize"), {}, {})
    assert {one.name: one.above for one in ranked} == {"real": True, "idle": False}


def test_values_are_shuffled_among_trials_that_follow_one_another():
    values = np.arange(50.0)
    shuffled = within_blocks(values, np.random.default_rng(0))
    for block in (slice(0, 20), slice(20, 40), slice(40, 50)):
        assert sorted(shuffled[block]) == list(values[block])
    assert (shuffled != values).sum() > 30


def test_few_trials_say_nothing():
    assert found(trials(50)) == []  # 49 have a value
    assert found(trials(51))


def test_parameters_that_were_rarely_active_or_rarely_among_the_best_are_not_compared(made):
    space = {one.trial: dict(distributions(made)[one.trial]) for one in made}
    best = sorted((one for one in made if one.value is not None), key=lambda one: -one.value)
    everywhere = FloatDistribution(0.0, 1.0)
    changed = []
    for place, one in enumerate(best):
        extra = {"rare": 0.5} if place < 19 else {}
        extra |= {"bad": 0.5} if place > 30 or place < 4 else {}
        extra |= {"enough": place / 200} if place < 20 else {}
        space[one.trial] |= dict.fromkeys(extra, everywhere)
        changed.append(one.model_copy(update={"params": one.params | extra}))
    names = {one.name for one in importances(comparable(changed, space, "maximize"), GROUPS, {})}
    assert "enough" in names
    assert not names & {"rare", "bad"}


def test_floors_are_where_95_percent_of_the_shuffles_stay_below_all_of_them():
    draw = np.random.default_rng(0)
    shuffled = draw.exponential(size=(200, 5)) * [1.0, 1.0, 0.01, 3.0, 0.0]
    floors = floors_of(shuffled)
    reached = (shuffled[:, :4] > floors[:4]).any(1)
    assert reached.mean() == 0.05
    assert floors[2] < 0.1 * floors[0]  # each by its own scale
    assert floors[4] == 0.0
