import threading
import time

import pytest
from optuna.trial import TrialState, create_trial
from studies import new_study

from redsm5.hpo.beating import Beating
from redsm5.hpo.leases import Leases
from redsm5.hpo.owner import Owner
from redsm5.hpo.storage import Away, open_storage

LEASE = 0.6
ELSEWHERE = [Owner("h", "boot", "ns", 7, "1", nonce) for nonce in "ab"]


@pytest.fixture
def workers(tmp_path):
    url, study = new_study(tmp_path)
    return [Leases(open_storage(url), study, lease_seconds=LEASE, owner=owner) for owner in ELSEWHERE]


def try_for(leases, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if claim := leases.claim(1):
            return claim
        time.sleep(LEASE / 12)
    return None


def draw(slot):
    return create_trial(state=TrialState.RUNNING)


def test_beats_keep_the_slot(workers):
    a, b = workers
    lost = threading.Event()
    with Beating(a, a.claim(1), lost.set):
        assert try_for(b, 3 * LEASE) is None
    assert not lost.is_set()
    assert try_for(b, 3 * LEASE).slot == 0  # it ended, and with it the beats


def test_failed_beats_are_retried(workers, monkeypatch):
    a, b = workers
    beat, tries, lost = a.beat, [], threading.Event()

    def flaky(claim):
        tries.append(1)
        if len(tries) % 2:
            raise Away("server closed the connection")
        beat(claim)

    monkeypatch.setattr(a, "beat", flaky)
    with Beating(a, a.claim(1), lost.set):
        assert try_for(b, 3 * LEASE) is None
    assert len(tries) > 4
    assert not lost.is_set()


@pytest.mark.parametrize("hangs", ["nothing", "beat", "observation"])
def test_worker_cut_off_gives_up_before_another_takes_its_slot(workers, monkeypatch, hangs):
    a, b = workers
    stop = threading.Event()

    def cut_off(*arguments):
        if hangs != "nothing":
            stop.wait(20)
        raise Away("no route to host")

    claim, gave_up = a.claim(1), []
    if hangs == "observation":
        monkeypatch.setattr(a.slots, "held", cut_off)
    else:
        monkeypatch.setattr(a, "beat", cut_off)
    with Beating(a, claim, lambda: gave_up.append(time.monotonic())) as beating:
        taken = try_for(b, 5 * LEASE)
        at = time.monotonic()
        stop.set()
        assert taken.slot == 0
        assert beating.is_lost
    assert len(gave_up) == 1
    assert gave_up[0] < at


def test_lost_slot_ends_the_trial_once(workers):
    a, b = workers
    calls = []
    claim = a.claim(1)
    with Beating(a, claim, lambda: calls.append(1)):
        b.slots.free(claim.slot, claim.token)
        for _ in range(100):
            if calls:
                break
            time.sleep(0.02)
        time.sleep(LEASE)
    assert calls == [1]


def test_beating_observes_so_that_a_busy_worker_ends_the_attempts_of_lost_ones(workers):
    a, b = workers
    lost = b.attempt(b.claim(2), draw)  # never beats
    with Beating(a, a.claim(2), lambda: None):
        for _ in range(150):
            if a.storage.get_trial(lost.trial_id).state == TrialState.FAIL:
                break
            time.sleep(0.02)
    assert a.storage.get_trial(lost.trial_id).state == TrialState.FAIL


def test_stopped_worker_that_nobody_replaced_goes_on(workers):
    """Ctrl-Z and fg: the clock leapt past the lease, and the slot is still its own."""
    a, _ = workers
    lost, leap = threading.Event(), [0.0]
    a.clock = lambda: time.monotonic() + leap[0]
    with Beating(a, a.claim(1), lost.set):
        time.sleep(LEASE / 2)
        leap[0] = 100.0
        time.sleep(2 * LEASE)
    assert not lost.is_set()
