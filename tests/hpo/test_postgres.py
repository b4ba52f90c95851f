"""What only a server does: sessions that it ends, restarts, workers that open it at once."""

import threading
import time

import pytest
from optuna.study import StudyDirection
from optuna.trial import TrialState, create_trial

from redsm5.errors import UserError
from redsm5.hpo.leases import Leases
from redsm5.hpo.storage import Away, insist, open_storage, reaching

pytestmark = pytest.mark.slow


def test_session_that_was_silent_amid_a_transaction_is_ended_and_that_is_away(postgres):
    storage = open_storage(postgres.new_url())
    with storage.engine.begin() as connection:
        assert connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "30s"

    def silent():
        with reaching(), storage.engine.begin() as connection:
            connection.exec_driver_sql("SET idle_in_transaction_session_timeout = 100")
            connection.exec_driver_sql("SELECT 1")
            time.sleep(0.5)
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(Away, match="idle-in-transaction"):
        silent()


def test_restart_of_the_server_is_away_and_then_forgotten(postgres):
    storage = open_storage(postgres.new_url())
    study = storage.create_new_study([StudyDirection.MAXIMIZE], "study")
    leases = Leases(storage, study)
    attempt = leases.attempt(leases.claim(1), lambda slot: create_trial(state=TrialState.RUNNING))
    postgres.kill()
    try:
        for call in (lambda: leases.report(attempt, 0, 0.5), lambda: leases.beat(attempt.claim), leases.observe):
            with pytest.raises(Away):
                call()
    finally:
        postgres.start()
    insist(lambda: leases.finish(attempt, TrialState.COMPLETE, 0.5))
    assert leases.counts(1).complete == 1


def test_workers_that_open_a_new_database_at_once_all_succeed(postgres):
    url, errors, keys = postgres.new_url(), [], []
    start = threading.Barrier(6)

    def work():
        try:
            start.wait()
            storage = open_storage(url)
            try:
                study = storage.create_new_study([StudyDirection.MAXIMIZE], "study")
            except Exception:
                study = storage.get_study_id_from_name("study")
            keys.append(Leases(storage, study).slots.study)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(set(keys)) == 1


def test_database_that_is_not_there_is_one_sentence(postgres):
    url = postgres.new_url().replace("@/d", "@/none")
    with pytest.raises(UserError, match=r'database "none.*" does not exist'):
        open_storage(url.replace("postgres@", "postgres:secret@"))
