"""The worker itself, with fits stood in for: what it does where something goes wrong around them."""

import errno
import json
import os
import shutil
import threading
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from checkpoint_samples import put
from sqlalchemy.exc import OperationalError
from stand_in import fit, kept, lost, reports, said, value_of, work_here

from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.errors import MachineFault, UserError
from redsm5.hpo import finish, records, results, taking_over, worker
from redsm5.hpo.attempts import RELEASED
from redsm5.hpo.leases import Leases
from redsm5.hpo.messages import Ended, Epoch
from redsm5.hpo.owner import Owner
from redsm5.hpo.records import PEAK, read_records
from redsm5.hpo.retention import trial_folder
from redsm5.hpo.slots import Slots
from redsm5.hpo.study import BUDGET
from redsm5.hpo.trial_process import TrialProcess
from redsm5.hpo.worker import Worker
from redsm5.run.given import flat


def test_seconds_of_storage_are_all_but_sampler_and_fits(study, monkeypatch):
    passed = [0.0]
    clock = SimpleNamespace(monotonic=lambda: passed[0], sleep=lambda _: None)
    monkeypatch.setattr(worker, "time", clock)

    def takes(seconds, of, name):
        real = getattr(of, name)

        def slow(*args, **kwargs):
            passed[0] += seconds
            return real(*args, **kwargs)

        monkeypatch.setattr(of, name, slow)

    takes(1000.0, TrialProcess, "run")
    takes(100.0, Leases, "attempt")
    takes(0.25, Leases, "report")  # of four epochs
    takes(2.0, Leases, "claim")
    takes(4.0, Leases, "finish")
    for seconds, name in ((8.0, "publish"), (16.0, "read_records"), (32.0, "search_bytes"), (64.0, "tidy")):
        takes(seconds, worker, name)
    ended = work_here(study).ended
    assert [report.seconds.sampling for report in ended] == [100.0] * 3
    # What comes after a trial's report is noted with the next one.
    assert [report.seconds.storage for report in ended] == [1 + 2, *[1 + 2 + 4 + 8 + 16 + 32 + 64] * 2]


def test_seconds_of_a_trial_that_was_lost_or_waited_for_are_nobodys(study, monkeypatch):
    passed, answers = [0.0], deque([False, None])
    clock = SimpleNamespace(monotonic=lambda: passed[0], sleep=lambda seconds: passed.__setitem__(0, passed[0] + 10))
    monkeypatch.setattr(worker, "time", clock)
    real = Worker._trial, Leases.claim

    def lost(self, claim):
        passed[0] += 1000
        self.leases.release(claim)
        return False

    def claim(self, budget):
        return real[1](self, budget) if answers.popleft() is False else None

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "_trial", lost)
        patch.setattr(Leases, "claim", claim)
        made = Worker(study, said)
        for _ in range(2):
            assert made._next(said) is None
    assert [report.seconds.storage for report in made.work().ended] == [0.0] * 3


def test_worker_checks_the_report_of_a_trial_once(study, monkeypatch):
    real, checked = records.report_of, []
    monkeypatch.setattr(records, "report_of", lambda trial: checked.append(trial.number) or real(trial))
    assert len(work_here(study).ended) == 3
    assert checked == [0, 1, 2]


def test_trial_is_at_work_while_a_worker_has_it(study, monkeypatch):
    seen = []

    def looked(self, task):
        seen.append(read_records(study.optuna).at_work)
        return fit(self, task)

    def interrupted(self, task):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrialProcess, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            work_here(study)
    waits = read_records(study.optuna)
    assert (waits.running, waits.at_work) == ((0,), ())
    monkeypatch.setattr(TrialProcess, "run", looked)
    assert work_here(study).at_work == ()
    assert seen == [(0,), (1,), (2,)]


def test_peak_on_disk_has_what_checkpoints_took_between_two_looks(study, monkeypatch):
    def saves(self, task):
        ended = fit(self, task)
        run = Path(task.run_dir)
        facts = json.loads((run / "training.json").read_text(encoding="utf-8"))
        facts["checkpoints"] = {"peak_bytes": CheckpointFolder(run / "checkpoints").bytes() + 5000}
        (run / "training.json").write_text(json.dumps(facts), encoding="utf-8")
        return ended

    monkeypatch.setattr(TrialProcess, "run", saves)
    monkeypatch.setattr(worker, "search_bytes", lambda *_: 1000)
    work_here(study)
    assert study.optuna.user_attrs[PEAK] == 6000


def test_error_that_nobody_foresaw_counts_as_a_death_and_fails_the_trial_at_last(study, monkeypatch):
    monkeypatch.setattr(worker, "MOST_DEATHS", 2)

    real = worker._objectives
    first = f"{value_of(0, 3)}"
    monkeypatch.setattr(worker, "_objectives", lambda s, o: {}["val_loss"] if f"{o.value}" == first else real(s, o))
    for _ in range(3):  # the first one trained it: the second one began where no other had
        with pytest.raises(KeyError, match="val_loss"):
            work_here(study)
    assert len(lost(study)) == 3
    records = work_here(study)
    assert [report.state for report in records.ended] == ["FAIL", "COMPLETE", "COMPLETE"]
    failed = records.ended[0]
    assert failed.reason == "its worker died 2 times"
    assert "KeyError at " in failed.detail


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), SystemExit(1), MachineFault("no room"), OSError(errno.EIO, "x")]
)
def test_worker_that_was_told_to_stop_or_has_no_disk_is_no_death(study, monkeypatch, error):
    def stop(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(worker, "keep_result", stop)
        with pytest.raises(MachineFault if isinstance(error, OSError) else type(error)):
            work_here(study)
    assert lost(study) == [RELEASED]


def test_trial_that_every_job_is_too_short_for_fails_at_last(study, monkeypatch):
    monkeypatch.setattr(worker, "MOST_RELEASES", 2)

    def too_short(self, task):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrialProcess, "run", too_short)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                work_here(study)
    assert lost(study) == [RELEASED, RELEASED]
    records = work_here(study)
    assert [report.state for report in records.ended] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert records.ended[0].reason == "its worker was told to stop 2 times while it came no further"


def config_of(study, number):
    return flat(yaml.safe_load((trial_folder(study.folder, number) / "config.yaml").read_text(encoding="utf-8")))


def is_drawn(report, config):
    """Whether a config says what was drawn, which no default does."""
    lr = report.settings["model.optimizer.lr"]
    assert lr != 0.003
    named = config["model.optimizer.class_path"].rpartition(".")[2]
    return (named, config["model.optimizer.init_args.lr"]) == (report.settings["model.optimizer"], lr)


def test_trial_that_is_given_up_before_a_checkpoint_leaves_the_config_that_was_drawn(study, monkeypatch):
    """What fits into memory is not asked once more: here that is what ends its workers."""
    monkeypatch.setattr(worker, "MOST_DEATHS", 2)
    real = worker.trial_args

    def dies(space, params, args, bounds, training_posts):
        if bounds is not None:
            raise KeyError("bounds")
        return real(space, params, args, bounds, training_posts)

    monkeypatch.setattr(worker, "trial_args", dies)
    study.optuna.set_user_attr("redsm5:budget", 1)
    for _ in range(2):
        with pytest.raises(KeyError, match="bounds"):
            work_here(study)
    (failed,) = work_here(study).ended
    assert (failed.state, failed.reason) == ("FAIL", "its worker died 2 times")
    assert is_drawn(failed, config_of(study, 0))


@pytest.mark.parametrize("known", [True, False])
def test_trial_that_is_refused_leaves_the_config_that_was_drawn_or_none(study, monkeypatch, known):
    real = worker.trial_args

    def refuses(space, params, args, bounds, training_posts):
        if bounds is not None or not known:
            raise UserError("the draw is wrong")
        return real(space, params, args, bounds, training_posts)

    monkeypatch.setattr(worker, "trial_args", refuses)
    study.optuna.set_user_attr("redsm5:budget", 1)
    (failed,) = work_here(study).ended
    assert failed.reason == "refused: the draw is wrong"
    assert reports(study) == [0]
    if known:
        assert is_drawn(failed, config_of(study, 0))
    else:
        assert not (trial_folder(study.folder, 0) / "config.yaml").exists()


def test_notes_of_a_trial_say_the_batches_that_it_was_begun_with(study, monkeypatch):
    """On a machine with less memory, whose reasons this one does not know."""

    def begun_elsewhere(self, task):
        fit(self, task)
        path = Path(task.run_dir) / "config.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        config["data"]["batching"]["init_args"]["train"] = 2
        config["trainer"]["accumulate_grad_batches"] = 4
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        raise KeyboardInterrupt

    real = worker.trial_args

    def noted(*args, **options):
        made, notes = real(*args, **options)
        return made, {**notes, "memory": "8 posts of 4 windows fit a batch", "step": "a quarter"}

    monkeypatch.setattr(worker, "trial_args", noted)
    with monkeypatch.context() as patch:
        patch.setattr(TrialProcess, "run", begun_elsewhere)
        with pytest.raises(KeyboardInterrupt):
            work_here(study)
    first, second, _ = work_here(study).ended
    assert first.notes == {"batch": 2, "accumulation": 4, "step": "a quarter"}
    assert second.notes == {
        "batch": 8, "accumulation": 1, "memory": "8 posts of 4 windows fit a batch", "step": "a quarter"
    }  # fmt: skip


def test_trained_trial_without_a_value_of_an_objective_has_failed_and_says_of_which(study):
    several = replace(study, plan=replace(study.plan, objectives=["val_f1_macro", "val_hit_at_1", "peak_memory"]))
    records = work_here(several)
    assert {(report.state, report.reason) for report in records.ended} == {("FAIL", "no value of val_hit_at_1")}


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "Permission denied"), shutil.Error([("a", "b", "c")])])
def test_attempt_that_cannot_be_copied_is_not_gone_on_from(study, monkeypatch, error):
    def refuse(previous, run_dir):
        raise error

    def interrupted(self, task):
        fit(self, task)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrialProcess, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            work_here(study)
    monkeypatch.setattr(taking_over, "take_over", refuse)
    lines = []
    records = work_here(study, lines.append)
    assert [report.state for report in records.ended] == ["COMPLETE"] * 3
    assert "attempt-1 cannot be gone on from" in "".join(lines)


def test_fit_is_told_when_the_lease_of_its_worker_ends(study, monkeypatch):
    told = []

    def asks(self, task):
        told.append((self._lease(), time.monotonic()))
        return fit(self, task)

    monkeypatch.setattr(TrialProcess, "run", asks)
    work_here(study)
    assert [alive.lease for alive, _ in told] == [60.0] * 3
    assert all(0 < alive.until - now <= 60.0 for alive, now in told)


def test_worker_that_goes_on_removes_the_checkpoints_that_it_has_copied(study, monkeypatch):
    def interrupted(self, task):
        put(CheckpointFolder(Path(task.run_dir) / "checkpoints"))
        shutil.copyfile(task.args[1], Path(task.run_dir) / "config.yaml")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrialProcess, "run", interrupted)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                work_here(study)
    folder = trial_folder(study.folder, 0)
    assert len(list(folder.glob("attempt-*"))) == 2
    assert len(list(folder.glob("attempt-*/checkpoints"))) == 1


def test_worker_that_goes_on_from_an_older_attempt_takes_over_what_that_one_reported(study, monkeypatch):
    """The newest one did not see its folder, and began anew."""

    def interrupted(self, task):
        reached, at = (2, 0.25) if task.run_dir.endswith("attempt-1") else (0, 0.125)
        Path(task.run_dir).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(task.args[1], Path(task.run_dir) / "config.yaml")
        put(CheckpointFolder(Path(task.run_dir) / "checkpoints"), epoch=reached)
        for epoch in range(reached + 1):
            self._on_epoch(Epoch(epoch, at))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrialProcess, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            work_here(study)
        patch.setattr(worker, "furthest", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            work_here(study)
    work_here(study)
    third = study.optuna.get_trials()[2]
    assert [third.intermediate_values[epoch] for epoch in range(3)] == [0.25] * 3
    assert third.intermediate_values.keys() == {0, 1, 2, 3}


def test_result_whose_answer_was_cut_off_is_still_this_workers(study, monkeypatch):
    real, cuts = Slots.finish, deque([True])

    def cut_off(self, slot, token=None):
        if cuts and cuts.pop():
            raise OperationalError("commit", {}, Exception("connection lost"))
        return real(self, slot, token)

    monkeypatch.setattr(Slots, "finish", cut_off)
    heard = []
    Worker(study, said).work(lambda records: heard.append(len(records.ended)))
    assert heard == [1, 2, 3]
    assert reports(study) == [0, 1, 2]
    assert lost(study) == []


def test_full_disk_after_a_trial_is_a_sentence(study, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "report.json")

    monkeypatch.setattr(results, "prune_study", full)
    with pytest.raises(MachineFault, match=r"report.json cannot be written: No space left on device; make room"):
        work_here(study)


def test_epochs_of_a_failed_trial_are_those_that_ended(study, monkeypatch):
    def diverges(self, task):
        fit(self, task)
        run = trial_folder(study.folder, 0) / "attempt-1"
        (run / "training.json").unlink(missing_ok=True)
        (run / "report.json").unlink(missing_ok=True)
        rows = "".join(f"{n},{n},val_f1_macro,{value}\n" for n, value in enumerate((0.25, 0.5, 0.375)))
        (run / "metrics.csv").write_text(f"epoch,step,name,value\n{rows}")
        return Ended("diverged", "diverged")

    monkeypatch.setattr(TrialProcess, "run", diverges)
    study.optuna.set_user_attr("redsm5:budget", 1)
    (failed,) = work_here(study).ended
    assert (failed.state, failed.value, failed.best_epoch, failed.epochs) == ("FAIL", 0.5, 1, 3)


@pytest.mark.parametrize("alone", [True, False])
def test_worker_with_a_parent_leaves_the_failing_to_it(study, monkeypatch, alone):
    monkeypatch.setattr(TrialProcess, "run", lambda self, task: Ended("diverged", "diverged"))
    monkeypatch.setattr("redsm5.hpo.failures.FEWEST", 2)
    made = Worker(study, said, alone=alone)
    if alone:
        with pytest.raises(UserError, match="2 of 2 trials have failed"):
            made.work()
    else:
        assert len(made.work().ended) == 3


def test_worker_waits_for_a_database_that_is_away_at_its_start(study, monkeypatch):
    real, cuts = type(study.storage).get_study_id_from_name, deque([True, True])

    def cut_off(self, name):
        if cuts and cuts.pop():
            raise OperationalError("select", {}, Exception("connection lost"))
        return real(self, name)

    monkeypatch.setattr(type(study.storage), "get_study_id_from_name", cut_off)
    assert Worker(study, said).leases.lease_seconds == 60.0


def test_workers_that_tidy_at_once_do_not_crash_each_other(study):
    work_here(study)
    records = read_records(study.optuna)
    failed, workers = [], 4
    together = threading.Barrier(workers)

    def tidy_at_once():
        try:
            for _ in range(20):
                if together.wait() == 0:
                    for report in records.ended:
                        put(CheckpointFolder(study.folder / report.run / "checkpoints"), "resume", epoch=9)
                        put(CheckpointFolder(study.folder / report.run / "checkpoints"), "weights", epoch=9)
                        (study.folder / "trials" / f"{report.trial:05d}" / "report.json").unlink()
                together.wait()
                finish.tidy(study, records, set())
        except BaseException as error:
            failed.append(error)
            together.abort()

    threads = [threading.Thread(target=tidy_at_once) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(set(kept(study))) == 1
    assert list(study.folder.glob("trials/*/attempt-*/checkpoints/last-*")) == []
    assert reports(study) == [0, 1, 2]


def test_worker_that_waits_takes_up_the_trial_of_one_that_is_gone_however_short_the_lease(study, monkeypatch):
    monkeypatch.setattr(worker, "WAIT", 60.0)
    study.optuna.set_user_attr(BUDGET, 1)  # so that there is nothing else to do
    elsewhere = Owner("h", "boot", "ns", 7, "1")  # only its beats say that it lives, and it was killed
    assert Leases(study.storage, study.id, owner=elsewhere).claim(1).slot == 0
    here = Worker(study, said)
    here.leases.lease_seconds = 1.0
    here.work()
    assert reports(study) == [0]
