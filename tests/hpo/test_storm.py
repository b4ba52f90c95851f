"""Workers killed at random, a server killed amid a study, a worker stopped past its lease; stock Optuna as control."""

import os
import signal
import time
from functools import partial

import pytest
from optuna.trial import TrialState
from storm import CONTEXT, faults, make_study, start, states_of, storm
from storm_log import StormLog
from storm_worker import LEASE, work, work_as_stock

MANY = {"budget": 200, "workers": 8, "kills": 76, "every": 0.2, "stop_for": 2 * LEASE}
"""The same for our workers and for Optuna's."""


@pytest.fixture
def log(tmp_path):
    return StormLog(tmp_path / "storm.log")


def test_few_kills_on_sqlite_leave_an_exact_study(tmp_path, log):
    url = f"sqlite:///{tmp_path}/s.db"
    make_study(url)
    killed, codes = storm(partial(work, log=log), url, 20, workers=3, kills=6, every=0.15)
    assert (killed, set(codes)) == (6, {0})
    assert faults(url, 20) + log.faults() == []


@pytest.mark.slow
def test_many_kills_of_eight_workers_on_postgresql_leave_an_exact_study(postgres, log):
    url = postgres.new_url()
    make_study(url)
    killed, codes = storm(partial(work, log=log), url, **MANY)
    assert killed > 40
    assert set(codes) == {0}
    assert faults(url, MANY["budget"]) + log.faults() == []


@pytest.mark.slow
def test_many_kills_of_four_workers_on_sqlite_leave_an_exact_study(tmp_path, log):
    url = f"sqlite:///{tmp_path}/s.db"
    make_study(url)
    killed, codes = storm(partial(work, log=log), url, 200, workers=4, kills=40, every=0.4)
    assert killed > 20
    assert set(codes) == {0}
    assert faults(url, 200) + log.faults() == []


@pytest.mark.slow
def test_server_killed_and_restarted_amid_a_study_loses_nothing(postgres, log):
    url = postgres.new_url()
    make_study(url)
    outages = []

    def between(killed):
        if killed in (5, 15):  # for less and for more than a lease
            postgres.kill()
            time.sleep(0.5 if not outages else 2 * LEASE)
            postgres.start()
            outages.append(killed)

    _, codes = storm(partial(work, log=log), url, 150, workers=8, kills=25, every=0.3, between=between)
    assert outages == [5, 15]
    assert set(codes) == {0}
    assert faults(url, 150) + log.faults() == []


@pytest.mark.slow
def test_worker_stopped_past_its_lease_and_woken_leaves_quietly(postgres, log):
    url = postgres.new_url()
    make_study(url)
    at_work = CONTEXT.Event()
    stopped = start(work, url, 30, told=at_work, log=log)
    assert at_work.wait(30)
    os.kill(stopped.pid, signal.SIGSTOP)
    other = start(work, url, 30, log=log)
    other.join(60)
    assert other.exitcode == 0
    assert faults(url, 30) == []
    os.kill(stopped.pid, signal.SIGCONT)
    stopped.join(30)
    assert stopped.exitcode == 0
    assert faults(url, 30) + log.faults() == []


@pytest.mark.slow
def test_stock_optuna_does_not_survive_the_same_kills(postgres):
    """If it ever does, leases have no reason to be."""
    budget, workers = MANY["budget"], MANY["workers"]
    calm, stormy = postgres.new_url(), postgres.new_url()
    make_study(calm)
    _, codes = storm(work_as_stock, calm, **MANY | {"kills": 0})
    whole = states_of(calm)
    assert (set(codes), set(whole)) == ({0}, {TrialState.COMPLETE})
    assert budget <= whole[TrialState.COMPLETE] < budget + workers  # those that ran when the last one was told

    make_study(stormy)
    killed, codes = storm(work_as_stock, stormy, **MANY)
    left = states_of(stormy)
    found = {
        "trials that run for ever": left[TrialState.RUNNING] > 0,
        "trials that are lost": left[TrialState.COMPLETE] < budget,
        "more trials than asked for": left[TrialState.COMPLETE] >= budget + workers,
        "workers that crash when they are woken": 1 in codes,
    }
    assert killed > 40
    assert any(found.values()), (found, left)
