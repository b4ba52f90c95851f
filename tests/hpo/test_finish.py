"""The end of a study: what the last worker publishes, waits for, tests and writes."""

import errno
import json
import socket
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from stand_in import kept, reports, said, value_of, work_here

from redsm5.errors import UserError
from redsm5.hpo import finish, worker
from redsm5.hpo.records import read_records
from redsm5.hpo.space.read import read_space
from redsm5.hpo.space.space import Fixed
from redsm5.run.lock import LOCK, FolderHeld, Holder


def test_finish_publishes_and_prunes_what_the_last_workers_did_not(study, untested, monkeypatch):
    with monkeypatch.context() as patch:
        for name in ("publish", "tidy"):  # killed between telling and publishing, each time
            patch.setattr(worker, name, lambda *_: None)
        work_here(study)
    assert reports(study) == []
    assert len(kept(study)) == 3
    finish.finish(study, said)
    assert reports(study) == [0, 1, 2]
    assert kept(study) == [max(range(3), key=lambda number: value_of(number, 3))]
    assert list(study.folder.glob("trials/*/attempt-*/checkpoints/last-*")) == []


def test_dimensions_are_what_is_drawn(study):
    space = read_space(Path(__file__).parents[2] / "configs" / "hpo" / "cpu.yaml")
    found = finish.study_report(replace(study, space=space), read_records(study.optuna))
    assert (
        found.dimensions
        == len(space.searched)
        == len([p for p in space.parameters if type(p.distribution) is not Fixed])
    )
    assert found.dimensions < len(space.parameters)  # others are fixed there


def held(folder, host):
    holder = Holder(1, host, "another", "2026-01-01T00:00:00+00:00")
    (folder / LOCK).write_text(json.dumps(asdict(holder)))


@pytest.mark.parametrize("host", ["another", socket.gethostname()])
def test_finish_waits_for_another_host_for_some_minutes_only_and_says_so(study, untested, monkeypatch, host):
    """Where a file system has no locks nobody frees what a host that is gone has held."""
    work_here(study)
    lines, waited = [], []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            (study.folder / LOCK).unlink()

    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("redsm5.run.lock.fcntl.flock", no_locks)
    monkeypatch.setattr("redsm5.run.lock.Holder.is_gone", False)
    monkeypatch.setattr(finish.time, "sleep", sleep)
    held(study.folder, host)
    finish.finish(study, lines.append)
    assert len(waited) == 3
    assert [line for line in lines if line.startswith("waiting: process 1 on host ")] == lines[:1]
    held(study.folder, host)
    waited.clear()
    monkeypatch.setattr(finish, "LONGEST_WAIT", 0.0)
    if host == "another":
        with pytest.raises(FolderHeld, match="if that process is gone"):
            finish.finish(study, said)
    else:
        finish.finish(study, said)
        assert len(waited) == 3


def test_test_that_fails_leaves_the_study_with_its_report_and_best_config(study, untested, monkeypatch):
    def fails(run, log):
        raise UserError("the test did not end")

    work_here(study)
    with monkeypatch.context() as patch:
        patch.setattr(finish, "_test", fails)
        with pytest.raises(UserError, match="the test did not end"):
            finish.finish(study, said)
    whole = json.loads((study.folder / "study.json").read_text(encoding="utf-8"))
    assert (whole["test"], whole["test_evaluations"], whole["counts"]["complete"]) == (None, 1, 3)
    assert (study.folder / "best.yaml").exists()
    assert finish.finish(study, said).test_evaluations == 1
    assert len(untested) == 1


def test_best_config_may_be_nowhere_but_in_the_study(study, untested):
    work_here(study)
    told = []
    finish.finish(replace(study, settings=replace(study.settings, best_config=None)), told.append)
    assert (study.folder / "best.yaml").exists()
    assert not [line for line in told if "best_config" in line]


def test_best_config_whose_folder_is_missing_is_said_to_be_in_the_study_alone(study, untested):
    work_here(study)
    told = []
    finish.finish(replace(study, settings=replace(study.settings, best_config="no/such/best.yaml")), told.append)
    own = study.folder / "best.yaml"
    assert told[0] == f"hpo.best_config: there is no folder no/such here; the best config is {own} alone"
