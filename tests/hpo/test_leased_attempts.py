"""Attempts at the trials of a study: who is lost, what counts, and what is refused."""

import pytest
from leased import LEASE, Study
from optuna.trial import TrialState

from redsm5.hpo.attempts import LOST, SLOT, TOKEN, Kept, is_lost
from redsm5.hpo.leases import AlreadyDone, Lost
from redsm5.hpo.owner import Owner


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_attempt_of_a_lost_worker_goes_on_with_params_and_the_values_its_checkpoint_holds(study):
    a, b = study.worker(), study.worker()
    first = a.attempt(a.claim(1), study.draw)
    for step in range(5):
        a.report(first, step, step / 10)
    study.pass_time(b, LEASE + 10)
    assert [is_lost(trial) for trial in study.trials()] == [True]  # ended by the timer, before anyone claims
    seen = []
    second = b.attempt(b.claim(1), study.draw, keep=lambda trial: seen.append(trial.number) or Kept(2))
    assert (second.params, second.index, seen) == (first.params, 1, [0])
    b.report(second, 3, 0.33)
    stored = study.storage.get_trial(second.trial_id)
    assert stored.intermediate_values == {0: 0.0, 1: 0.1, 2: 0.2, 3: 0.33}
    assert LOST not in stored.user_attrs
    assert study.drawn == [0]


def test_attempt_repeats_what_a_worker_killed_between_fail_and_new_attempt_left(study):
    a, b, c = study.worker(), study.worker(), study.worker()
    first = a.attempt(a.claim(1), study.draw)
    study.pass_time(b, LEASE + 10)
    b._settle(b.claim(1))  # killed here: FAIL stands, no new attempt
    assert len(study.trials(TrialState.FAIL)) == 1
    study.pass_time(c, LEASE + 10)
    again = c.attempt(c.claim(1), study.draw)
    c.finish(again, TrialState.COMPLETE, 1.0)
    assert again.params == first.params
    assert study.results() == {0: [1.0]}
    assert c.claim(1) is None


@pytest.mark.parametrize("state", [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
def test_result_of_a_worker_killed_between_telling_and_letting_go_counts_once(study, state):
    a, b = study.worker(), study.worker()
    first = a.attempt(a.claim(1), study.draw)
    a.storage.set_trial_state_values(first.trial_id, state, None if state == TrialState.FAIL else [0.7])
    study.pass_time(b, LEASE + 10)
    with pytest.raises(AlreadyDone):
        b.attempt(b.claim(1), study.draw)
    assert b.claim(1) is None
    assert len(study.trials()) == 1
    assert b.counts(1).done == 1


def test_worker_that_was_stalled_and_comes_back_is_refused_everything(study):
    a, b = study.worker(), study.worker()
    held = a.claim(1)
    first = a.attempt(held, study.draw)
    study.pass_time(b, LEASE + 10)
    second = b.attempt(b.claim(1), study.draw)
    for late in (
        lambda: a.beat(held),
        lambda: a.report(first, 3, 0.1),
        lambda: a.finish(first, TrialState.COMPLETE, 0.9),
        lambda: a.finish(first, TrialState.FAIL),
        lambda: a.attempt(held, study.draw),
    ):
        with pytest.raises(Lost):
            late()
    a.release(held)
    b.report(second, 0, 0.2)
    b.finish(second, TrialState.COMPLETE, 0.4)
    assert study.results() == {0: [0.4]}
    assert not study.trials(TrialState.RUNNING)


def test_result_that_arrives_after_the_takeover_but_before_the_fail_counts(study):
    a, b = study.worker(), study.worker()
    first = a.attempt(a.claim(1), study.draw)
    b._end_orphans = lambda: None  # the observer is killed when it has freed the slot
    study.pass_time(b, LEASE + 10)
    taken = b.claim(1)
    a.finish(first, TrialState.COMPLETE, 0.9)
    assert b.counts(1).held == 0  # done, though another has it
    with pytest.raises(AlreadyDone):
        b.attempt(taken, study.draw)
    assert study.results() == {0: [0.9]}


def test_attempt_ends_the_running_one_before_it_begins(study):
    a, b = study.worker(), study.worker()
    first = a.attempt(a.claim(1), study.draw)
    b._end_orphans = lambda: None  # the observer is killed when it has freed the slot
    study.pass_time(b, LEASE + 10)

    def told_late(earlier):
        with pytest.raises(Lost):
            a.finish(first, TrialState.COMPLETE, 0.9)
        return Kept()

    second = b.attempt(b.claim(1), study.draw, keep=told_late)
    assert [t._trial_id for t in study.trials(TrialState.RUNNING)] == [second.trial_id]
    b.finish(second, TrialState.COMPLETE, 0.4)
    assert study.results() == {0: [0.4]}


def test_attempt_counts_a_result_that_is_told_while_it_ends_the_attempt(study, monkeypatch):
    a, b = study.worker(), study.worker()
    first = a.attempt(a.claim(1), study.draw)
    b._end_orphans = lambda: None
    study.pass_time(b, LEASE + 10)
    taken = b.claim(1)
    lose = b._lose

    def told_first(trial_id):
        a.finish(first, TrialState.COMPLETE, 0.9)
        lose(trial_id)

    monkeypatch.setattr(b, "_lose", told_first)
    with pytest.raises(AlreadyDone):
        b.attempt(taken, study.draw)
    assert study.results() == {0: [0.9]}


def test_attempt_that_is_tried_again_after_an_error_replaces_its_first_try(study):
    a = study.worker()
    claim = a.claim(1)
    first = a.attempt(claim, study.draw)  # its answer never came
    second = a.attempt(claim, study.draw)
    assert second.params == first.params
    assert [t._trial_id for t in study.trials(TrialState.RUNNING)] == [second.trial_id]


def test_failure_told_after_the_attempt_was_declared_lost_is_none(study):
    a, b = study.worker(), study.worker()
    first = a.attempt(a.claim(1), study.draw)
    b._end_orphans = lambda: None
    study.pass_time(b, LEASE + 10)
    taken = b.claim(1)
    b.storage.set_trial_user_attr(first.trial_id, LOST, "marked, and not yet ended")
    with pytest.raises(Lost):
        a.finish(first, TrialState.FAIL)
    b.finish(b.attempt(taken, study.draw), TrialState.COMPLETE, 0.4)
    assert study.results() == {0: [0.4]}


def test_result_told_while_it_is_declared_lost_counts(study):
    a, b = study.worker(), study.worker()
    first = a.attempt(a.claim(1), study.draw)
    b.storage.set_trial_user_attr(first.trial_id, LOST, "marked")
    a.finish(first, TrialState.COMPLETE, 0.9)  # between the mark and the FAIL
    b._lose(first.trial_id)
    assert study.results() == {0: [0.9]}
    assert a.counts(1).complete == 1


def taken_while_it_draws(study, a, b):
    """The attempt of a worker at the trial of another one, which is stalled while it draws and is refused then."""
    taken, held = [], a.claim(1)

    def stalled(slot):
        study.pass_time(b, LEASE + 10)
        taken.append(b.attempt(b.claim(1), study.draw))
        return study.draw(slot)

    with pytest.raises(Lost):
        a.attempt(held, stalled)
    return taken[0]


def test_worker_stalled_before_it_creates_its_attempt_leaves_no_trace(study):
    a, b = study.worker(), study.worker()
    taken = taken_while_it_draws(study, a, b)
    b.finish(taken, TrialState.COMPLETE, 0.3)
    assert study.results() == {0: [0.3]}
    assert [is_lost(t) for t in study.trials()] == [False, True]


def test_params_of_the_holder_are_taken_up_not_those_of_a_late_attempt(study):
    a, b, c = study.worker(), study.worker(), study.worker()
    taken = taken_while_it_draws(study, a, b)
    study.pass_time(c, LEASE + 10)
    assert c.attempt(c.claim(1), study.draw).params == taken.params


def test_running_orphans_are_ended_by_the_timer_of_any_worker(study):
    a, b = study.worker(), study.worker()
    held = a.claim(2)
    a.finish(a.attempt(held, study.draw), TrialState.COMPLETE, 1.0)
    # Created by a stale worker that was killed at once; created twice; of a slot that was removed by hand.
    for slot, token in ((0, held.token - 1), (0, held.token), (99, 1)):
        orphan = study.draw(slot)
        orphan.system_attrs = {SLOT: slot, TOKEN: token}
        study.storage.create_new_trial(study.id, orphan)
    b.observe()
    assert not study.trials(TrialState.RUNNING)
    assert study.results() == {0: [1.0]}


def test_attempt_that_was_created_twice_has_one_running_trial(study, monkeypatch):
    a = study.worker()
    create = a.storage.create_new_trial

    def twice(study_id, template):  # the commit went through, its answer did not, and Optuna tries again
        create(study_id, template)
        return create(study_id, template)

    monkeypatch.setattr(a.storage, "create_new_trial", twice)
    attempt = a.attempt(a.claim(1), study.draw)
    assert [t._trial_id for t in study.trials(TrialState.RUNNING)] == [attempt.trial_id]


def test_finish_told_again_after_an_error_at_the_commit_is_the_same_as_once(study):
    a = study.worker()
    for slot, state in enumerate((TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)):
        attempt = a.attempt(a.claim(3), study.draw)
        assert attempt.claim.slot == slot
        for _ in range(2):
            a.finish(attempt, state, None if state == TrialState.FAIL else 0.5)
    counts = a.counts(3)
    assert (counts.complete, counts.pruned, counts.failed, counts.held, counts.free) == (1, 1, 1, 0, 0)


def test_trial_that_was_let_go_is_no_death_of_its_worker(study):
    """Ten polite interruptions must not fail a trial that trains for days."""
    leases = study.worker(elsewhere=False)
    for _ in range(3):
        claim = leases.claim(1)
        attempt = leases.attempt(claim, study.draw)
        leases.release(claim)
    other = study.worker(owner=Owner("h", "boot", "ns", 8, "1"))
    claim = other.claim(1)
    attempt = other.attempt(claim, study.draw)
    assert (attempt.index, attempt.deaths, attempt.releases) == (3, 0, 3)
    study.pass_time(leases, 2 * LEASE)
    attempt = leases.attempt(claim := leases.claim(1), study.draw)
    assert (attempt.index, attempt.deaths, attempt.releases) == (4, 1, 3)
    leases.release(claim)
    attempt = leases.attempt(leases.claim(1), study.draw, lambda _: Kept(-1, 7))  # some steps further, in no time
    assert (attempt.index, attempt.deaths, attempt.releases) == (5, 0, 0)


def test_slot_that_is_let_go_for_an_error_is_free_and_has_a_death(study):
    leases = study.worker(elsewhere=False)
    leases.attempt(claim := leases.claim(1), study.draw)
    leases.release(claim, "its worker ended: KeyError at worker.py:1")
    attempt = study.worker().attempt(study.worker().claim(1), study.draw)
    assert (attempt.index, attempt.deaths) == (1, 1)
    assert attempt.earlier.user_attrs[LOST] == "its worker ended: KeyError at worker.py:1"


@pytest.mark.parametrize(
    ("kept", "deaths"),
    [
        ([], 0),
        ([-1, -1, -1], 3),
        ([0, 1, 2], 0),  # each went further than the one before
        ([2, 2, 5, 5], 1),
        ([5, -1, 5, 6], 0),
        ([5, -1, 5], 2),  # no further than ever: its checkpoint was damaged, or is on another machine
        ([(5, 60), (5, 60), (5, 64)], 0),  # further within an epoch
        ([(5, 60), (5, 60)], 1),
    ],
)
def test_deaths_count_since_the_trial_last_came_further_than_ever(study, kept, deaths):
    leases = study.worker(elsewhere=False)
    leases.attempt(leases.claim(1), study.draw)
    for one in kept:
        begun = Kept(*one) if isinstance(one, tuple) else Kept(one)
        study.pass_time(leases, 2 * LEASE)
        leases = study.worker()
        study.pass_time(leases, 2 * LEASE)
        attempt = leases.attempt(leases.claim(1), study.draw, lambda _, begun=begun: begun)
        study.pass_time(leases, 0)
    if kept:
        assert attempt.deaths == deaths


def test_values_after_the_epoch_where_a_training_began_anew_are_forgotten(study):
    leases = study.worker(elsewhere=False)
    attempt = leases.attempt(leases.claim(1), study.draw)
    for step in range(4):
        leases.report(attempt, step, step / 10)
    leases.forget(attempt, 2)
    assert attempt.values == {0: 0.0, 1: 0.1}
    leases.report(attempt, 2, 0.9)
    assert study.storage.get_trial(attempt.trial_id).intermediate_values == {0: 0.0, 1: 0.1, 2: 0.9}
