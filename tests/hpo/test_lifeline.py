"""What ends the process of a trial whose worker cannot."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import lone_worker
import pytest
from tiny_runs import fit_options

from redsm5.hpo import lifeline
from redsm5.hpo.lifeline import Lifeline
from redsm5.hpo.messages import ABANDONED, WORKER_STOPPED, Alive
from redsm5.hpo.taking_over import take_over
from redsm5.hpo.trial_process import SAVE

LEASE = 60.0


class Ended(Exception):
    pass


class Watched:
    """A process that is watched, by a clock that this test turns; what happened to it, and when."""

    def __init__(self, monkeypatch, *, heard=(), stopped=(), trains=True):
        self.now, self.events = 0.0, []
        self.heard, self.stopped = dict(heard), dict(stopped)
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self._sleep)
        system = SimpleNamespace(_exit=self._exit, kill=lambda pid, number: self._note(number), getpid=os.getpid)
        handler = signal.default_int_handler if trains else signal.SIG_DFL
        monkeypatch.setattr(lifeline, "time", clock)
        monkeypatch.setattr(lifeline, "os", system)
        monkeypatch.setattr(lifeline, "signal", SimpleNamespace(getsignal=lambda _: handler, SIG_DFL=signal.SIG_DFL))
        monkeypatch.setattr(lifeline, "threading", SimpleNamespace(Thread=lambda **_: SimpleNamespace(start=int)))
        self.line = Lifeline(Alive(LEASE, LEASE))

    def watch(self):
        with pytest.raises(Ended):
            self.line._watch()
        return self.events

    def _sleep(self, seconds):
        self.now += seconds + self.stopped.pop(int(self.now), 0.0)
        if self.now > 1000.0:
            raise Ended
        if (until := self.heard.get(int(self.now))) is not None:
            self.line.hear(Alive(until, LEASE))

    def _note(self, what):
        self.events.append((what, int(self.now)))

    def _exit(self, code):
        self._note(code)
        raise Ended


def test_process_whose_worker_falls_silent_saves_and_ends_with_the_lease(monkeypatch):
    heard = {second: 60.0 + second for second in range(0, 31, 2)}
    assert Watched(monkeypatch, heard=heard).watch() == [(SAVE, 70), (ABANDONED, 90)]


def test_process_whose_worker_lives_goes_on(monkeypatch):
    assert Watched(monkeypatch, heard={second: 60.0 + second for second in range(0, 1001, 2)}).watch() == []


def test_process_whose_worker_lives_and_has_no_database_ends_with_the_lease_and_not_before(monkeypatch):
    """The worker ends it in that moment, and could have got its lease renewed until then."""
    heard = dict.fromkeys(range(0, 100, 2), 60.0)
    assert Watched(monkeypatch, heard=heard).watch() == [(ABANDONED, 60)]


@pytest.mark.parametrize(("trains", "waits"), [(True, True), (False, False)])
def test_process_that_has_nothing_to_save_ends_at_once(monkeypatch, trains, waits):
    watched = Watched(monkeypatch, trains=trains)
    watched.line.waits = waits
    assert watched.watch() == [(ABANDONED, 40)]


@pytest.mark.parametrize("wakes", [True, False])
def test_process_that_was_stopped_with_its_worker_hears_first_whether_that_wakes_too(monkeypatch, wakes):
    """Ctrl-Z and fg."""
    heard = {second: 60.0 + second for second in [*range(0, 11, 2), *(range(512, 1001, 2) if wakes else ())]}
    events = Watched(monkeypatch, heard=heard, stopped={10: 500.0}).watch()
    assert events == ([] if wakes else [(ABANDONED, 516)])


def test_process_without_a_lease_is_not_watched(monkeypatch):
    monkeypatch.setattr(lifeline, "threading", None)
    assert not Lifeline(None).has_asked


@pytest.mark.slow
def test_trial_of_a_stopped_worker_saves_and_ends_and_the_worker_knows_why(tiny_corpus_dir, tiny_encoder, tmp_path):
    run_dir, log = tmp_path / "trial", tmp_path / "log"
    more = ("--trainer.max_epochs=100000", "--early_stopping.patience=100000", "--data.batching.train=1")
    args = fit_options(tiny_corpus_dir, tiny_encoder, run_dir, "--early_stopping.monitor=val_f1_macro", *more)[1:]
    args = [arg for arg in args if not arg.startswith("--run_dir")]
    command = [sys.executable, lone_worker.__file__, str(run_dir), str(log), *args]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout.readline() == "begun\n"
        pid = json.loads((run_dir / ".lock").read_text(encoding="utf-8"))["pid"]
        time.sleep(lone_worker.LEASE + 1)
        assert Path(f"/proc/{pid}").exists()  # it hears of its worker
        os.kill(worker.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 120
        while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not Path(f"/proc/{pid}").exists()
        assert take_over(run_dir, tmp_path / "next").step > 0
        assert "stopped " in log.read_text(encoding="utf-8")  # amid an epoch, too
        os.kill(worker.pid, signal.SIGCONT)
        assert worker.stdout.readline() == f"{WORKER_STOPPED}\n"
    finally:
        worker.kill()
        worker.wait()
