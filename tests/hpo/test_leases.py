"""Each hole of a worker's life, with two workers in one process on SQLite and clocks that the tests set."""

import threading

import optuna
import pytest
from leased import LEASE, Study, finish_all
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState, create_trial
from sqlalchemy.exc import OperationalError

from redsm5.hpo.leases import Leases, Lost
from redsm5.hpo.slots import SLOTS
from redsm5.hpo.storage import Away


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_claim_gives_each_slot_once_and_no_more_than_the_budget(study):
    a, b = study.worker(), study.worker()
    claims = [worker.claim(5) for _ in range(4) for worker in (a, b)]
    assert [c.slot if c else None for c in claims] == [0, 1, 2, 3, 4, None, None, None]
    assert a.counts(5).held == 5


def test_claim_takes_more_slots_when_the_budget_is_raised(study):
    a = study.worker()
    finish_all(study, a, 3)
    assert sorted(study.results()) == [0, 1, 2]
    assert a.claim(3) is None
    finish_all(study, a, 5)
    assert sorted(study.results()) == [0, 1, 2, 3, 4]
    assert a.counts(5).done == 5


def test_claim_begins_nothing_above_a_lowered_budget(study):
    a = study.worker()
    claims = [a.claim(5) for _ in range(5)]
    for claim in claims:
        a.release(claim)
    finish_all(study, a, 3)
    assert sorted(study.results()) == [0, 1, 2]
    finish_all(study, a, 5)
    assert sorted(study.results()) == [0, 1, 2, 3, 4]


def test_claim_is_exact_with_threads(study):
    budget, errors = 40, []

    def work():
        try:
            leases = study.worker(elsewhere=False)
            while (claim := leases.claim(budget)) is not None:
                attempt = leases.attempt(claim, lambda slot: create_trial(state=TrialState.RUNNING))
                leases.finish(attempt, TrialState.COMPLETE, 1.0)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert {slot: len(values) for slot, values in study.results().items()} == dict.fromkeys(range(budget), 1)
    assert len(study.trials()) == budget


def test_worker_killed_before_its_first_beat_is_replaced(study):
    a, b = study.worker(), study.worker()
    assert a.claim(1).slot == 0
    assert b.claim(1) is None
    study.pass_time(b, LEASE - 1)
    assert b.claim(1) is None
    study.pass_time(b, 2)
    claim = b.claim(1)
    assert (claim.slot, claim.token) == (0, 3)  # freed, then taken
    b.finish(b.attempt(claim, study.draw), TrialState.COMPLETE, 0.5)
    assert study.results() == {0: [0.5]}


def test_worker_that_beats_is_never_replaced(study):
    a, b = study.worker(), study.worker()
    held = a.claim(1)
    for _ in range(30):
        a.beat(held)
        study.pass_time(b, LEASE / 2)
    assert b.claim(1) is None


def test_claim_whose_commit_was_answered_by_an_error_is_taken_again_at_once(study, monkeypatch):
    a = study.worker()
    take = a.slots.take

    def cut_off(budget, owner):
        take(budget, owner)
        raise OperationalError("commit", {}, Exception("connection lost"))

    with monkeypatch.context() as gone:
        gone.setattr(a.slots, "take", cut_off)
        with pytest.raises(Away):
            a.claim(1)
    assert a.claim(1).slot == 0


def test_claim_given_up_by_its_own_worker_is_taken_again_at_once(study):
    a = study.worker()
    first = a.attempt(a.claim(1), study.draw)
    a.abandon(first.claim)
    second = a.attempt(a.claim(1), study.draw)
    assert second.params == first.params
    with pytest.raises(Lost):
        a.finish(first, TrialState.COMPLETE, 0.1)


def test_release_hands_the_trial_on_without_waiting(study):
    a, b = study.worker(), study.worker()
    first = a.attempt(a.claim(1), study.draw)
    a.release(first.claim)
    assert b.attempt(b.claim(1), study.draw).params == first.params


def test_dead_worker_of_the_same_host_is_replaced_at_once(study, dead_owner):
    a, b = study.worker(owner=dead_owner), study.worker(elsewhere=False)
    a.claim(1)
    assert b.claim(1).slot == 0


def test_live_worker_of_the_same_host_is_not_replaced(study):
    a, b = study.worker(elsewhere=False), study.worker(elsewhere=False)
    a.claim(1)
    assert b.claim(1) is None


def test_slot_that_changes_hands_begins_a_new_lease(study):
    a, b, c = study.worker(), study.worker(), study.worker()
    first = a.claim(1)
    study.pass_time(b, LEASE - 5)
    a.release(first)
    assert c.claim(1).slot == 0
    study.pass_time(b, 10)
    assert b.claim(1) is None


def test_worker_that_beats_while_it_is_declared_dead_keeps_its_slot(study, monkeypatch):
    a, b = study.worker(), study.worker()
    mine = a.claim(1)
    study.pass_time(b, LEASE - 1)
    held = b.slots.held

    def beaten_after_it_was_read():
        read = held()
        a.beat(mine)
        return read

    monkeypatch.setattr(b.slots, "held", beaten_after_it_was_read)
    study.clock.now += 10
    b.observe()
    a.beat(mine)


def test_gap_in_the_observation_restarts_it(study):
    a, b = study.worker(), study.worker()
    a.claim(1)
    b.observe()
    for _ in range(5):  # each look comes after more than half a lease: the observer was stopped, or the database away
        study.clock.now += LEASE
        assert b.claim(1) is None
    study.pass_time(b, LEASE)
    assert b.claim(1).slot == 0


def test_time_without_a_database_is_no_silence_of_the_others(study, monkeypatch):
    a, b = study.worker(), study.worker()
    held = a.claim(1)
    study.pass_time(b, LEASE - 10)

    def away():
        raise OperationalError("select", {}, Exception("gone"))

    with monkeypatch.context() as gone:
        gone.setattr(b.slots, "held", away)
        for _ in range(10):
            study.clock.now += 10
            with pytest.raises(Away):
                b.observe()
    assert b.claim(1) is None
    a.beat(held)
    study.pass_time(b, LEASE - 10)
    assert b.claim(1) is None


def test_storage_errors_of_optuna_that_a_later_try_may_mend_are_away(study, monkeypatch):
    a = study.worker()
    attempt = a.attempt(a.claim(1), study.draw)

    def gone(*args):
        try:
            raise OperationalError("update", {}, Exception("server closed the connection"))
        except OperationalError as error:
            raise StorageInternalError("commit") from error

    with monkeypatch.context() as away:
        away.setattr(a.storage, "set_trial_state_values", gone)
        away.setattr(a.storage, "set_trial_intermediate_value", gone)
        with pytest.raises(Away, match="server closed the connection"):
            a.report(attempt, 0, 0.5)
        with pytest.raises(Away, match="server closed the connection"):
            a.finish(attempt, TrialState.COMPLETE, 0.5)
    a.finish(attempt, TrialState.COMPLETE, 0.5)
    assert study.results() == {0: [0.5]}


def test_slots_of_a_deleted_study_are_not_those_of_a_new_one_with_its_id(study):
    finish_all(study, study.worker(), 2)
    study.storage.delete_study(study.id)
    new = study.storage.create_new_study([optuna.study.StudyDirection.MAXIMIZE], "new")
    assert new == study.id  # SQLite gives the number out again
    finish_all(study, study.worker(), 2)
    assert sorted(study.results()) == [0, 1]


def test_lease_of_a_study_is_that_of_its_first_worker(study):
    first = Leases(study.storage, study.id, lease_seconds=7)
    assert first.lease_seconds == 7
    assert Leases(study.storage, study.id, lease_seconds=60).lease_seconds == 7


def test_two_workers_that_open_a_study_agree_on_its_key(study):
    assert len({study.worker().slots.study for _ in range(3)}) == 1


@pytest.mark.parametrize("dialect", ["mysql", "postgresql", "sqlite"])
def test_table_of_slots_is_valid_in_every_dialect(dialect):
    import importlib

    from sqlalchemy.schema import CreateTable

    module = importlib.import_module(f"sqlalchemy.dialects.{dialect}")
    text = str(CreateTable(SLOTS).compile(dialect=module.dialect()))
    assert "PRIMARY KEY (study, slot)" in text
    assert "AUTO_INCREMENT" not in text
    assert "SERIAL" not in text
