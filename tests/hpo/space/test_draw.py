"""Draws: what is active is drawn, and becomes settings of the config."""

from __future__ import annotations

import collections

import optuna
import pytest

from redsm5.errors import UserError
from redsm5.hpo.space.draw import Chance, draw, settings
from redsm5.hpo.space.read import read_space

TEXT = """
groups:
  a:
    peft: {path: model.peft, choices: [NoPEFT, LoRA, IA3]}
    r: {path: model.peft.r, choices: [4, 8], when: {peft: LoRA}}
    deep: {path: model.peft.alpha, choices: [1.0, 2.0], when: {r: 8}}
    optimizer: {path: model.optimizer, choices: [AdamW, Adafactor, SGD]}
    relative: {path: model.optimizer.relative_step, choices: [true, false], when: {optimizer: Adafactor}}
    lr:
      path: model.optimizer.lr
      low: 1.0e-5
      high: 1.0e-4
      log: true
      unless: {relative: true}
      scale: {optimizer: {SGD: 100, Adafactor: 20}, relative: {false: 0.5}}
    betas: {path: model.optimizer.betas, choices: [[0.9, 0.999], [0.9, 0.98]], when: {optimizer: AdamW}}
    schedule: {path: model.schedule, choices: [Linear, Cosine], unless: {relative: true}}
    flat: {path: model.schedule, value: NoSchedule, when: {relative: true}}
    final: {path: model.schedule.final, low: 0.0, high: 1.0, step: 0.25, when: {model.schedule: [Linear, Cosine]}}
    warmup: {choices: [ratio, none]}
    no_ratio: {path: model.schedule.warmup_ratio, value: null, when: {warmup: none, model.schedule: [Linear, Cosine]}}
"""


@pytest.fixture
def space(tmp_path):
    (tmp_path / "space.yaml").write_text(TEXT)
    return read_space(tmp_path / "space.yaml")


def test_only_what_is_active_is_drawn(space):
    for seed in range(300):
        drawn = draw(space, Chance(seed))
        assert ("r" in drawn) == (drawn["peft"] == "LoRA")
        assert ("deep" in drawn) == (drawn.get("r") == 8)
        assert ("relative" in drawn) == (drawn["optimizer"] == "Adafactor")
        relative = drawn.get("relative") is True
        assert ("lr" in drawn) == ("schedule" in drawn) == ("final" in drawn) == (not relative)
        found = settings(space, drawn)
        assert found["model.schedule"] == ("NoSchedule" if relative else drawn["schedule"])
        assert ("model.schedule.warmup_ratio" in found) == (drawn["warmup"] == "none" and not relative)
        assert "warmup" not in found


def test_a_forced_draw_has_what_is_forced(space):
    drawn = draw(space, Chance(0, {"optimizer": "SGD", "lr": 3e-5, "peft": "IA3", "final": 0.5}))
    assert (drawn["optimizer"], drawn["lr"], drawn["peft"], drawn["final"]) == ("SGD", 3e-5, "IA3", 0.5)


SCALES = {("AdamW", None): 1.0, ("SGD", None): 100.0, ("Adafactor", False): 10.0}


@pytest.mark.parametrize(("optimizer", "relative"), SCALES)
def test_rates_are_scaled_by_the_optimizer(space, optimizer, relative):
    forced = {"optimizer": optimizer, "relative": relative, "lr": 2e-5}
    found = settings(space, draw(space, Chance(1, forced)))
    assert found["model.optimizer.lr"] == pytest.approx(2e-5 * SCALES[optimizer, relative])


def test_lists_are_drawn_as_text_and_set_as_lists(space):
    drawn = draw(space, Chance(0, {"optimizer": "AdamW", "betas": "[0.9, 0.98]"}))
    assert drawn["betas"] == "[0.9, 0.98]"
    assert settings(space, drawn)["model.optimizer.betas"] == [0.9, 0.98]
    assert settings(space, {**drawn, "betas": [0.9, 0.98]}) == settings(space, drawn)


def test_options_come_before_their_fields(space):
    for seed in range(20):
        keys = list(settings(space, draw(space, Chance(seed))))
        for key in keys:
            parent = key.rpartition(".")[0]
            assert parent not in keys or keys.index(parent) < keys.index(key)


def test_a_path_that_is_set_twice_is_refused(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text("groups: {a: {x: {path: p.q, choices: [1]}, y: {path: p.q, choices: [2]}}}")
    space = read_space(path)
    with pytest.raises(UserError, match=r"sets p\.q twice where x and y are both active"):
        settings(space, draw(space, Chance(0)))


@pytest.mark.parametrize(("change", "message"), [({"r": 4}, "no active parameter r"), ({"peft": None}, "peft that is")])
def test_values_that_are_no_draw_are_refused(space, change, message):
    drawn = draw(space, Chance(0, {"peft": "NoPEFT"})) | change
    values = {name: value for name, value in drawn.items() if value is not None}
    with pytest.raises(UserError, match=message):
        settings(space, values)


def test_optuna_draws_from_the_same_distributions_in_every_trial(space):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=20))
    drawn = []
    study.optimize(lambda trial: float(len(drawn.append(draw(space, trial)) or drawn)), n_trials=60)
    assert [trial.params for trial in study.trials] == drawn
    by_name = collections.defaultdict(set)
    for trial in study.trials:
        for name, distribution in trial.distributions.items():
            by_name[name].add(distribution)
    assert by_name.keys() == {parameter.name for parameter in space.searched}
    assert {len(found) for found in by_name.values()} == {1}


def test_even_draws_reach_both_ends_and_keep_their_steps():
    chance = Chance(0)
    floats = [chance.suggest_float("x", 0.0, 1.0, step=0.25) for _ in range(200)]
    assert sorted(set(floats)) == [0.0, 0.25, 0.5, 0.75, 1.0]
    logs = [chance.suggest_float("x", 1e-6, 1e-2, log=True) for _ in range(2000)]
    assert all(1e-6 <= value <= 1e-2 for value in logs)
    assert sum(value < 1e-4 for value in logs) == pytest.approx(1000, abs=120)
    assert {chance.suggest_int("x", 1, 4) for _ in range(100)} == {1, 2, 3, 4}
    assert {chance.suggest_int("x", 1, 3, log=True) for _ in range(100)} == {1, 2, 3}
