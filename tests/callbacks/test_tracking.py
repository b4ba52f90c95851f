"""Sending to trackers, with one that the test breaks as it likes."""

import json
import random
import threading
import time
from types import SimpleNamespace

import pytest

from redsm5.callbacks import tracking
from redsm5.callbacks.tracking import Tracking
from redsm5.metrics_csv import MetricRow, append_rows, keep_rows


class StandIn:
    """A tracker, its opener and its logger in one."""

    can_purge = False
    where = "here"

    def __init__(self):
        self.got = []  # (step, name, value)
        self.parameters = []
        self.opened = []  # (known id, purge step)
        self.ended = []
        self.down = None  # an exception
        self.hangs = None  # an event to wait for

    def open(self, known, purge_step):
        self._meet()
        self.opened.append((known, purge_step))
        return self, known or "run-1"

    def log_hyperparams(self, parameters):
        self._meet()
        self.parameters.append(parameters)

    def log_metrics(self, metrics, step):
        self._meet()
        self.got += [(step, name, value) for name, value in metrics.items()]

    def save(self):
        pass

    def close(self, logger, status):
        self.ended.append(status)

    def _meet(self):
        random.random()
        if self.hangs is not None:
            self.hangs.wait(30)
        if self.down is not None:
            raise self.down


def make(folder, *, parameters=None, **trackers):
    return Tracking(trackers, folder / "metrics.csv", folder / "trackers.json", parameters or {"lr": 0.1})


def end_epoch(folder, epoch, value=0.5, seconds=1.0):
    names = {"seconds": seconds, "val_loss": value}
    append_rows(folder / "metrics.csv", [MetricRow(epoch, 4 * epoch + 4, name, v) for name, v in names.items()])


def expected(*epochs):
    return [(4 * e + 4, name, value) for e in epochs for name, value in (("seconds", 1.0), ("val_loss", 0.5))]


TRAINER = SimpleNamespace(is_global_zero=True)


def test_an_epoch_is_sent_when_the_next_one_starts_and_the_last_at_the_end(tmp_path):
    tracker = StandIn()
    callback = make(tmp_path, mlflow=tracker)
    callback.on_train_start(TRAINER, None)
    for epoch in range(3):
        callback.on_train_epoch_start(TRAINER, None)
        assert tracker.got == expected(*range(epoch))
        end_epoch(tmp_path, epoch)
    callback.on_fit_end(TRAINER, None)
    assert tracker.got == expected(0, 1, 2)
    assert (tracker.opened, tracker.ended) == ([(None, None)], ["success"])
    assert tracker.parameters == [{"lr": "0.1"}]


def test_parameters_are_masked(tmp_path):
    tracker = StandIn()
    make(tmp_path, mlflow=tracker, parameters={"uri": "https://me:secret@host/x", "n": None}).send()
    assert tracker.parameters == [{"uri": "https://***@host/x", "n": "None"}]


def test_a_tracker_that_is_down_is_warned_of_once_and_gets_everything_later(tmp_path, capsys):
    tracker, other = StandIn(), StandIn()
    tracker.down = ConnectionError("no route to https://me:secret@host")
    callback = make(tmp_path, mlflow=tracker, wandb=other)
    for epoch in range(3):
        callback.send()
        end_epoch(tmp_path, epoch)
    callback.send()
    assert tracker.got == []
    assert other.got == expected(0, 1, 2)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "warning: mlflow cannot be reached (ConnectionError: no route to https://***@host); training goes on" in said
    assert callback.is_behind
    tracker.down = None
    callback.on_fit_end(TRAINER, None)
    assert tracker.got == expected(0, 1, 2)
    assert not callback.is_behind


def test_a_tracker_that_fails_on_the_way_gets_each_step_once(tmp_path):
    tracker = StandIn()
    for epoch in range(4):
        end_epoch(tmp_path, epoch)
    log_metrics = tracker.log_metrics

    def break_at_the_third(metrics, step):
        if step == 12 and tracker.down is None:
            tracker.down = OSError("broken pipe")
        log_metrics(metrics, step)

    tracker.log_metrics = break_at_the_third
    callback = make(tmp_path, mlflow=tracker)
    callback.send()
    assert tracker.got == expected(0, 1)
    tracker.down, tracker.log_metrics = None, log_metrics
    callback.send("success")
    assert tracker.got == expected(0, 1, 2, 3)


def test_a_tracker_that_hangs_is_waited_for_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "SECONDS_PER_ATTEMPT", 0.2)
    tracker = StandIn()
    tracker.hangs = threading.Event()
    callback = make(tmp_path, mlflow=tracker)
    started = time.monotonic()
    for epoch in range(50):
        callback.send()
        end_epoch(tmp_path, epoch)
    assert time.monotonic() - started < 2
    assert capsys.readouterr().err.count("mlflow does not answer within 0.2 s; training goes on") == 1
    tracker.hangs.set()
    monkeypatch.setattr(tracking, "SECONDS_PER_ATTEMPT", 10)
    callback.send("success")
    assert tracker.got == expected(*range(50))


def test_a_tracker_that_fails_slowly_costs_training_nothing_after_the_first_time(tmp_path):
    tracker = StandIn()

    def fail_slowly(known, purge_step):
        time.sleep(0.3)
        raise ConnectionError("timed out")

    tracker.open = fail_slowly
    callback = make(tmp_path, mlflow=tracker)
    callback.send()
    started = time.monotonic()
    for epoch in range(10):
        end_epoch(tmp_path, epoch)
        callback.send()
    assert time.monotonic() - started < 0.3


@pytest.mark.parametrize("sent_before", [0, 1, 2])
def test_a_run_that_goes_on_sends_what_is_lacking_to_the_run_that_it_had(tmp_path, sent_before):
    tracker = StandIn()
    callback = make(tmp_path, mlflow=tracker)
    callback.send()
    for epoch in range(sent_before):
        end_epoch(tmp_path, epoch)
        callback.send()
    callback.on_exception(TRAINER, None, KeyboardInterrupt())
    for epoch in range(sent_before, 2):
        end_epoch(tmp_path, epoch)  # ended, and killed before it was sent
    again = make(tmp_path, mlflow=tracker)
    again.on_train_start(TRAINER, None)
    end_epoch(tmp_path, 2)
    again.on_fit_end(TRAINER, None)
    assert tracker.got == expected(0, 1, 2)
    assert tracker.opened == [(None, None), ("run-1", None)]
    assert tracker.ended == ["failed", "success"]
    assert len(tracker.parameters) == 1


@pytest.mark.parametrize("can_purge", [False, True])
def test_a_run_that_goes_back_sends_again_only_what_changed(tmp_path, can_purge):
    """An older checkpoint, or a damaged one: epochs that were sent are done again."""
    tracker = StandIn()
    tracker.can_purge = can_purge
    for epoch in range(3):
        end_epoch(tmp_path, epoch)
    make(tmp_path, mlflow=tracker).send("failed")
    tracker.got.clear()
    keep_rows(tmp_path / "metrics.csv", lambda row: row.epoch < 1)
    again = make(tmp_path, mlflow=tracker)
    again.send()
    end_epoch(tmp_path, 1, seconds=2.0)  # the same, but for the time
    end_epoch(tmp_path, 2, value=0.75)
    again.send("success")
    changed = [(12, "seconds", 1.0), (12, "val_loss", 0.75)]
    if can_purge:
        assert tracker.opened[-1] == ("run-1", 8)
        assert tracker.got == [(8, "seconds", 2.0), (8, "val_loss", 0.5), *changed]
    else:
        assert tracker.opened[-1] == ("run-1", None)
        assert tracker.got == changed


def test_another_place_gets_everything(tmp_path):
    first, second = StandIn(), StandIn()
    second.where = "there"
    end_epoch(tmp_path, 0)
    for tracker in (first, second):
        make(tmp_path, mlflow=tracker).send("success")
        assert tracker.got == expected(0)
    assert second.opened == [(None, None)]


def test_a_damaged_ledger_sends_everything_again(tmp_path):
    (tmp_path / "trackers.json").write_text('{"mlflow": ')
    end_epoch(tmp_path, 0)
    tracker = StandIn()
    make(tmp_path, mlflow=tracker).send("success")
    assert tracker.got == expected(0)
    assert json.loads((tmp_path / "trackers.json").read_text())["mlflow"]["sent"].keys() == {"4"}


def test_a_large_backlog_is_warned_of_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tracking, "LARGEST_BACKLOG", 2 * 2**20)
    tracker = StandIn()
    tracker.down = OSError("gone")
    callback = make(tmp_path, mlflow=tracker)
    names = [f"{i:x<{2**15}}" for i in range(16)]
    for epoch in range(6):
        append_rows(tmp_path / "metrics.csv", [MetricRow(epoch, epoch, name, 0.0) for name in names])
        callback.send()
        assert ("mlflow lacks more than 2 MB of metrics; " in capsys.readouterr().err) == (epoch == 3)
    tracker.down = None
    callback.send("success")
    assert len(tracker.got) == 6 * 16


def test_trackers_leave_the_random_numbers_of_the_training_alone(tmp_path):
    random.seed(5)
    drawn = random.random()
    random.seed(5)
    make(tmp_path, mlflow=StandIn()).send()
    assert random.random() == drawn


def test_further_ranks_send_nothing(tmp_path):
    tracker = StandIn()
    callback = make(tmp_path, mlflow=tracker)
    end_epoch(tmp_path, 0)
    rank = SimpleNamespace(is_global_zero=False)
    for hook in (callback.on_train_start, callback.on_train_epoch_start, callback.on_fit_end):
        hook(rank, None)
    assert (tracker.opened, tracker.got) == ([], [])
