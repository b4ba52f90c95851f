import math
import os
import subprocess
import sys

import optuna
import pytest
from optuna.samplers import RandomSampler
from optuna.trial import TrialState
from studies import new_study

from redsm5.errors import UserError
from redsm5.hpo import sampling as sampling_module
from redsm5.hpo.attempts import Kept, is_lost
from redsm5.hpo.leases import Leases, Lost
from redsm5.hpo.records import REPORT
from redsm5.hpo.sampling import Sampling, make_pruner, make_sampler, seed_of
from redsm5.hpo.storage import open_storage

TPE = {"n_startup_trials": 8}


def define(trial):
    """A conditional space."""
    params = {"lr": trial.suggest_float("lr", 1e-6, 1e-2, log=True)}
    params["peft"] = trial.suggest_categorical("peft", ["none", "LoRA", "IA3"])
    if params["peft"] == "LoRA":
        params["r"] = trial.suggest_int("r", 4, 32, step=4)
        params["bias"] = trial.suggest_categorical("bias", [True, False])
    params["batch"] = trial.suggest_categorical("batch", [4, 8, 16])
    return params


def value_of(params):
    return -abs(params["lr"] - 1e-3) + 0.01 * params.get("r", 0) / 32 + 0.001 * params["batch"]


class Study:
    def __init__(self, folder, *, direction="maximize", **options):
        url, self.id = new_study(folder, direction=direction)
        self.storage = open_storage(url)
        self.leases = Leases(self.storage, self.id)
        self.options = options
        self.open()

    def open(self):
        self.sampling = Sampling(self.storage, self.id, **{"seed": 7, "sampler_options": TPE, **self.options})

    def begin(self, budget):
        claim = self.leases.claim(budget)
        return claim and self.leases.attempt(claim, lambda slot: self.sampling.draw(slot, define))

    def run(self, budget, lose=()):
        """Trials by slot; those at ``lose`` are lost by their worker as often as they stand there."""
        lose, found = list(lose), {}
        while attempt := self.begin(budget):
            slot = attempt.claim.slot
            if slot in lose:
                lose.remove(slot)
                self.leases.report(attempt, 0, 1e9)
                self.leases.release(attempt.claim)
                self.open()  # a new worker
                continue
            found[slot] = attempt.params
            self.leases.report(attempt, 0, value_of(attempt.params))
            state = TrialState.PRUNED if slot % 3 == 2 else TrialState.COMPLETE
            self.leases.finish(attempt, state, value_of(attempt.params))
        return found


def test_same_seed_gives_the_same_trials_whatever_attempts_are_lost_between(tmp_path):
    plain = Study(tmp_path / "a").run(20)
    assert Study(tmp_path / "b").run(20, lose=[0, 5, 5, 12, 13, 13, 13]) == plain
    assert Study(tmp_path / "c", seed=8).run(20) != plain


def test_study_that_is_continued_draws_what_one_run_draws(tmp_path):
    plain = Study(tmp_path / "a").run(14)
    study = Study(tmp_path / "b")
    parts = study.run(9)
    study.open()
    assert {**parts, **study.run(14)} == plain


def test_worker_killed_amid_drawing_leaves_nothing(tmp_path):
    plain = Study(tmp_path / "a").run(12)
    study = Study(tmp_path / "b")
    parts = study.run(11)

    def killed(trial):
        trial.suggest_float("lr", 1e-6, 1e-2, log=True)
        raise KeyboardInterrupt

    claim = study.leases.claim(12)
    with pytest.raises(KeyboardInterrupt):
        study.leases.attempt(claim, lambda slot: study.sampling.draw(slot, killed))
    assert len(study.storage.get_all_trials(study.id)) == 11
    study.leases.abandon(claim)
    assert {**parts, **study.run(12)} == plain


def test_trials_do_not_depend_on_the_order_of_sets(tmp_path):
    code = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); import test_sampling as t;"
        "print(t.Study(pathlib.Path(sys.argv[2])).run(14))"
    )
    found = []
    for hash_seed in ("1", "2"):
        given = [sys.executable, "-c", code, os.path.dirname(__file__), str(tmp_path / hash_seed)]
        done = subprocess.run(
            given, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": hash_seed}
        )
        found.append(done.stdout)
    assert found[0] == found[1]
    assert "lr" in found[0]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_draws_are_those_of_plain_optuna_with_the_seed_of_the_slot(tmp_path):
    study = Study(tmp_path)
    ours = study.run(16)
    plain = optuna.create_study(direction="maximize")
    theirs = {}
    for slot in range(16):
        plain.sampler = optuna.samplers.TPESampler(
            seed=seed_of(7, slot),
            n_startup_trials=8,
            multivariate=True,
            group=True,
            constant_liar=True,
            n_ei_candidates=2,
        )
        trial = plain.ask()
        theirs[slot] = define(trial)
        trial.report(value_of(theirs[slot]), 0)
        if slot % 3 == 2:
            plain.tell(trial, state=TrialState.PRUNED)
        else:
            plain.tell(trial, value_of(theirs[slot]))
    assert ours == theirs


def test_stored_trial_is_one_that_optuna_reads(tmp_path):
    study = Study(tmp_path)
    ours = study.run(10)
    read = optuna.load_study(study_name="study", storage=f"sqlite:///{tmp_path}/s.db")
    assert {trial.number: trial.params for trial in read.trials} == ours
    assert read.best_trial.value == max(value_of(ours[slot]) for slot in ours if slot % 3 != 2)
    lr = read.trials[0].distributions["lr"]
    assert (lr.low, lr.high, lr.log) == (1e-6, 1e-2, True)


def test_sampler_sees_one_trial_per_slot_by_its_number_and_none_that_was_lost(tmp_path, monkeypatch):
    shown = []

    class Recording(RandomSampler):
        def infer_relative_search_space(self, study, trial):
            shown.append(([t.number for t in study.get_trials()], trial.number))
            assert not any(is_lost(t) for t in study.get_trials())
            return {}

    study = Study(tmp_path)
    study.run(4, lose=[1, 1, 2])
    held = study.begin(5)
    monkeypatch.setattr(sampling_module, "make_sampler", lambda *args: Recording())
    study.begin(6)
    assert shown == [([0, 1, 2, 3, held.claim.slot], 5)]
    assert len(study.storage.get_all_trials(study.id)) == 9


@pytest.mark.parametrize(
    ("values", "pruned_at"),
    [
        ([0.1, 0.1, 0.1, 0.1, 0.1], 3),  # below the median of .5 from the beginning, ended at the fourth step
        ([0.6, 0.1, 0.1, 0.1, 0.1], None),  # its best so far counts
        ([0.9, 0.9, 0.9, 0.9, 0.9], None),
        ([0.1, 0.1, 0.1, 0.9, 0.1], None),
    ],
)
def test_default_pruner_compares_with_the_median_from_the_fourth_step_on(tmp_path, values, pruned_at):
    study = Study(tmp_path, sampler="RandomSampler", sampler_options={})
    for value in (0.4, 0.5, 0.6) * 4:
        attempt = study.begin(13)
        for step in range(4):
            study.leases.report(attempt, step, value)
            assert not (study.sampling.prunes(attempt) and attempt.claim.slot < 10)
        study.leases.finish(attempt, TrialState.COMPLETE, value)
    attempt, ended = study.begin(13), None
    for step, value in enumerate(values):
        study.leases.report(attempt, step, value)
        if study.sampling.prunes(attempt):
            ended = step
            break
    assert ended == pruned_at


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("epochs", [4, 8])  # ended before the epoch that is compared, or after it
@pytest.mark.parametrize("later", [0.1, math.nan])
@pytest.mark.parametrize(("value", "pruned"), [(0.55, False), (0.45, True)])
def test_pruner_compares_the_best_so_far_with_the_best_of_the_others(tmp_path, direction, epochs, later, value, pruned):
    study = Study(tmp_path, sampler="RandomSampler", sampler_options={}, direction=direction)
    worse = (lambda x: x) if direction == "maximize" else (lambda x: -x)
    for best in (0.4, 0.5, 0.6) * 4:
        attempt = study.begin(13)
        for step in range(epochs):
            # The best of theirs is the second, and one after the sixth, which had not come yet, is no matter.
            study.leases.report(attempt, step, worse({1: best, 6: 0.9}.get(step, later)))
        study.leases.finish(attempt, TrialState.COMPLETE, worse(best))
    attempt = study.begin(13)
    for step in range(6):
        study.leases.report(attempt, step, worse(value if step == 2 else 0.1))
    assert study.sampling.prunes(attempt) == pruned


@pytest.mark.parametrize(
    ("reason", "shown"), [("diverged", True), ("out of memory", True), ("killed by SIGKILL", False), ("", False)]
)
def test_sampler_sees_failures_of_the_parameters_as_the_worst_trials(tmp_path, monkeypatch, reason, shown):
    seen = []

    class Recording(RandomSampler):
        def infer_relative_search_space(self, study, trial):
            seen.extend(study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))
            return {}

    study = Study(tmp_path)
    attempt = study.begin(2)
    study.leases.report(attempt, 0, 0.9)
    study.storage.set_trial_user_attr(attempt.trial_id, REPORT, {"reason": reason})
    study.leases.finish(attempt, TrialState.FAIL)
    monkeypatch.setattr(sampling_module, "make_sampler", lambda *args: Recording())
    study.begin(2)
    assert [(trial.number, trial.intermediate_values) for trial in seen] == ([(0, {})] if shown else [])


def test_tpe_learns_where_trials_diverge(tmp_path):
    def rate(trial):
        return {"lr": trial.suggest_float("lr", 0.0, 1.0)}

    def share_of_failures(reason):
        study = Study(tmp_path / reason, sampler_options={"n_startup_trials": 10})
        failed = 0
        for _ in range(60):
            claim = study.leases.claim(60)
            attempt = study.leases.attempt(claim, lambda slot: study.sampling.draw(slot, rate))
            lr = attempt.params["lr"]
            if lr > 0.5:  # the best rates lie just below those that diverge
                study.storage.set_trial_user_attr(attempt.trial_id, REPORT, {"reason": reason})
                study.leases.finish(attempt, TrialState.FAIL)
                failed += claim.slot >= 30
            else:
                study.leases.finish(attempt, TrialState.COMPLETE, lr)
        return failed / 30

    assert share_of_failures("diverged") < share_of_failures("refused")


def test_resumed_attempt_is_pruned_by_what_it_took_over_and_reported_itself(tmp_path):
    study = Study(tmp_path, sampler="RandomSampler", sampler_options={}, pruner_options={"n_warmup_steps": 2})
    for value in (0.4, 0.5, 0.6) * 4:
        attempt = study.begin(13)
        for step in range(4):
            study.leases.report(attempt, step, value)
        study.leases.finish(attempt, TrialState.COMPLETE, value)
    first = study.begin(13)
    for step in range(3):
        study.leases.report(first, step, 0.9 if step == 1 else 0.1)
    study.leases.release(first.claim)
    for keep, prunes in ((0, True), (1, False)):  # without and with the step that was good
        study.open()
        second = study.leases.attempt(study.leases.claim(13), study.sampling.draw, lambda _, keep=keep: Kept(keep))
        study.leases.report(second, 2, 0.1)
        assert study.sampling.prunes(second) == prunes
        stored = study.storage.get_trial(second.trial_id).intermediate_values
        assert second.values == stored
        study.storage.set_trial_intermediate_value(second.trial_id, 1, 0.9)
        study.leases.release(second.claim)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("TPESampler", {}),
        ("RandomSampler", {}),
        ("NSGAIISampler", {"population_size": 4}),
        ("QMCSampler", {"scramble": True}),
    ],
)
def test_samplers_by_class_name_draw_in_bounds_and_repeat(tmp_path, name, options):
    given = {"sampler": name, "sampler_options": options}
    first, second = Study(tmp_path / "a", **given).run(10), Study(tmp_path / "b", **given).run(10)
    assert first == second
    assert len({str(params) for params in first.values()}) == 10
    assert all(1e-6 <= params["lr"] <= 1e-2 for params in first.values())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("HyperbandPruner", {"min_resource": 1, "max_resource": 9}),
        ("SuccessiveHalvingPruner", {"min_resource": 1}),
        ("PercentilePruner", {"percentile": 25.0}),
        ("NopPruner", {}),
    ],
)
def test_pruners_by_class_name_decide(tmp_path, name, options):
    study = Study(tmp_path, pruner=name, pruner_options=options, sampler="RandomSampler", sampler_options={})
    ended = []
    for value in [0.9] * 12 + [0.1] * 4:
        attempt = study.begin(16)
        for step in range(9):
            study.leases.report(attempt, step, value)
            if study.sampling.prunes(attempt):
                ended.append(value)
                break
        state = TrialState.PRUNED if ended[-1:] == [value] else TrialState.COMPLETE
        study.leases.finish(attempt, state, value)
    assert (0.1 in ended) == (name != "NopPruner")


@pytest.mark.parametrize("name", ["HyperbandPruner", "SuccessiveHalvingPruner"])
def test_pruner_that_notes_something_in_a_trial_that_was_taken_away_says_that_it_is_lost(tmp_path, name):
    options = {"min_resource": 1, **({"max_resource": 9} if name == "HyperbandPruner" else {})}
    study = Study(tmp_path, pruner=name, pruner_options=options, sampler="RandomSampler", sampler_options={})
    attempt = study.begin(1)
    study.leases.report(attempt, 0, 0.5)
    Leases(study.storage, study.id).release(attempt.claim)  # another worker declares it dead, after it has reported
    for step in range(1, 9):
        attempt.values[step] = 0.5
    with pytest.raises(Lost, match="slot 0 was taken"):
        study.sampling.prunes(attempt)


@pytest.mark.parametrize(
    ("make", "name", "options", "says"),
    [
        (make_sampler, "Tpe", {}, r"--sampler Tpe is unknown; choose among .*TPESampler"),
        (make_sampler, "BaseSampler", {}, r"is unknown"),
        (make_sampler, "TPESampler", {"startup": 3}, r"does not take startup; its options are .*n_startup_trials"),
        (make_sampler, "TPESampler", {"seed": 3}, r"does not take seed"),
        (make_sampler, "TPESampler", {"multivariate": False}, r"TPESampler refuses .*multivariate"),
        (make_sampler, "PartialFixedSampler", {}, r"PartialFixedSampler refuses"),
        (make_pruner, "Median", {}, r"--pruner Median is unknown; choose among .*MedianPruner"),
        (make_sampler, "TPESampler", {"n_startup_trials": -1}, r"n_startup_trials is -1; it takes a whole number of"),
        (make_sampler, "TPESampler", {"n_startup_trials": "many"}, r"n_startup_trials is many; it takes a whole"),
        (make_sampler, "TPESampler", {"n_ei_candidates": 0}, r"n_ei_candidates is 0; it takes .* at least 1"),
        (make_pruner, "MedianPruner", {"n_warmup_steps": -1}, r"MedianPruner refuses .*-1"),
        (make_pruner, "MedianPruner", {"seed": 1}, r"does not take seed"),
        (make_pruner, "PercentilePruner", {}, r"PercentilePruner refuses .*percentile"),
    ],
)
def test_wrong_sampler_or_pruner_is_one_sentence(make, name, options, says):
    given = (name, options, 1) if make is make_sampler else (name, options)
    with pytest.raises(UserError, match=says) as raised:
        make(*given)
    assert "\n" not in str(raised.value)
