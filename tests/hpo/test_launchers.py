"""Workers kept running over whatever a launcher places, and the sentences of launchers that cannot be used."""

import os
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from redsm5 import __version__
from redsm5.cli import main
from redsm5.commands import hpo
from redsm5.errors import UserError
from redsm5.hpo import on_this_machine, worker_process, workers
from redsm5.hpo.launchers import check_launcher, launch
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.worker_process import Ending, WorkerProcess, refuse_foreign
from redsm5.hpo.workers import DEATHS, GRACE, LONGEST_PAUSE, Progress, Workers
from redsm5.run.lock import boot_id


class Machine:
    """A launcher of workers that live for so many seconds of its own clock; the last word is for all later ones."""

    def __init__(self, *lives):
        self.lives = list(lives)
        self.now = 0.0
        self.placed = []
        self.started = []
        self.said = []

    def start(self, number):
        life = self.lives.pop(0) if len(self.lives) > 1 else self.lives[0]
        self.started.append((number, self.now))
        if isinstance(life, UserError):
            raise life
        worker = Fake(self, *life)
        self.placed.append(worker)
        return worker

    def sleep(self, seconds):
        self.now += seconds

    def run(self, number, ended, budget):
        keep = Workers(self.start, number, self.said.append, clock=lambda: self.now, sleep=self.sleep)
        budget_of = budget if callable(budget) else lambda now: budget
        keep.run(lambda: Progress(ended(self.now), ended(self.now), budget_of(self.now)))


class Fake:
    def __init__(self, machine, seconds, ending, *, heeds=True):
        self.machine = machine
        self.until = machine.now + seconds
        self.how = ending
        self.heeds = heeds
        self.asked = self.was_killed = False

    def ending(self):
        if self.was_killed or (self.asked and self.heeds):
            return Ending(130)
        return self.how if self.machine.now >= self.until else None

    def interrupt(self):
        self.asked = True

    def kill(self):
        self.was_killed = True


EVER = (1e9, Ending(0))


def died(seconds, code=-9):
    return (seconds, Ending(code, "was killed"))


def test_dead_workers_are_replaced_and_the_others_let_be():
    machine = Machine(EVER, died(10), EVER, died(30), EVER)
    machine.run(4, lambda now: 7 if now > 100 else 0, 7)
    assert [number for number, _ in machine.started] == [0, 1, 2, 3, 1, 3]
    assert [line.split(";")[0] for line in machine.said] == ["worker 1 was killed", "worker 3 was killed"]
    assert all(worker.asked for worker in machine.placed if worker.how == EVER[1])
    assert not any(worker.was_killed for worker in machine.placed)


def test_workers_that_end_by_themselves_are_neither_replaced_nor_asked_to_end():
    machine = Machine((5, Ending(0)))
    machine.run(2, lambda now: 1 if now > 50 else 0, 1)
    assert len(machine.started) == 2
    assert not any(worker.asked for worker in machine.placed)


def test_study_that_has_ended_starts_no_worker():
    machine = Machine(EVER)
    machine.run(2, lambda now: 5, 5)
    assert machine.started == []


def test_budget_that_is_raised_meanwhile_is_followed_and_ended_workers_come_back():
    machine = Machine((5, Ending(0)), (5, Ending(0)), EVER)
    machine.run(2, lambda now: 4 if now < 30 else 9, lambda now: 5 if now < 10 else 9)  # 5 was never reached
    assert [number for number, _ in machine.started] == [0, 1, 0, 1]
    assert machine.now == 30
    assert machine.said == []


def test_budget_that_is_lowered_meanwhile_ends_the_search():
    machine = Machine(EVER)
    machine.run(1, lambda now: 3, lambda now: 50 if now < 10 else 3)
    assert machine.now == 10


def test_workers_that_end_in_order_are_replaced_and_are_no_deaths():
    machine = Machine((90, Ending(130, "was told to end")))  # as jobs whose time is up, longer than any trial takes
    machine.run(1, lambda now: 1 if now > 100 * (DEATHS + 10) else 0, 1)
    assert len(machine.started) > DEATHS + 5
    assert set(machine.said) == {"worker 0 was told to end; another one takes its place"}


def test_worker_whose_database_is_away_is_a_death_and_not_the_end():
    machine = Machine((5, Ending(75, "the database does not answer: refused")), EVER)
    machine.run(1, lambda now: 1 if now > 50 else 0, 1)
    assert len(machine.started) == 2
    assert machine.said == [
        "worker 0 could not go on: the database does not answer: refused; another one takes its place in 2 s"
    ]


def test_pauses_double_until_the_search_gives_up():
    machine = Machine(died(0))
    with pytest.raises(UserError, match=rf"^{DEATHS + 1} workers have died while 0 trials ended; the last one was kil"):
        machine.run(1, lambda now: 0, 1)
    assert len(machine.started) == DEATHS + 1
    times = [now for _, now in machine.started]
    pauses = [after - before for before, after in pairwise(times)]
    for number, pause in enumerate(pauses, start=1):
        assert min(LONGEST_PAUSE, 2**number) <= pause <= min(LONGEST_PAUSE, 2**number) + 2 * workers.POLL


def test_each_trial_that_ends_makes_up_for_a_death():
    machine = Machine(died(90))
    machine.run(1, lambda now: int(now / 100), 3 * DEATHS)  # as with jobs whose time is up
    assert len(machine.started) > 2 * DEATHS


def test_launcher_that_is_away_is_asked_again_but_not_at_the_start():
    away = UserError("Slurm does not take the job: no answer")
    machine = Machine(died(1), away, away, EVER)
    machine.run(1, lambda now: 1 if now > 100 else 0, 1)
    assert len(machine.started) == 4
    assert machine.said[1].startswith("worker 0 could not be started: Slurm does not take the job: no answer; another")
    machine = Machine(EVER, away)
    with pytest.raises(UserError, match="no answer"):
        machine.run(2, lambda now: 0, 1)
    assert machine.placed[0].asked


def test_sentence_of_a_worker_ends_the_search_and_the_other_workers():
    machine = Machine(EVER, (3, Ending(2, "there is no corpus")))
    with pytest.raises(UserError, match=r"^there is no corpus$"):
        machine.run(2, lambda now: 0, 1)
    assert machine.placed[0].asked


def test_interrupt_ends_the_workers_and_kills_those_that_do_not_heed_it():
    machine = Machine(EVER)

    def ended(now):
        if now > 10:
            machine.placed[1].heeds = False
            raise KeyboardInterrupt
        return 0

    with pytest.raises(KeyboardInterrupt):
        machine.run(2, ended, 1)
    assert [worker.asked for worker in machine.placed] == [True, True]
    assert [worker.was_killed for worker in machine.placed] == [False, True]
    assert GRACE <= machine.now - 12 <= GRACE + 1


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--launcher", "dask"], "hpo.launcher: dask is not accepted"),
        (["--address", "head:6379"], "hpo.address means nothing to the launcher local; leave it out, or give --l"),
        (["--slurm", '{"timeout_min": 5}'], "hpo.slurm means nothing to the launcher local"),
        (["--launcher", "ray", "--slurm", '{"timeout_min": 5}'], "hpo.slurm means nothing to the launcher ray"),
        (["--launcher", "slurm", "--address", "head:6379"], "hpo.address means nothing to the launcher slurm"),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused_before_anything_is_begun(tmp_path, capfd, more, says):
    config = tmp_path / "hpo.yaml"
    config.write_text(f"hpo: {{study_dir: {tmp_path}/study}}\n", encoding="utf-8")
    assert main(["hpo", "--config", str(config), *more]) == 2
    assert says in capfd.readouterr().err
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(("launcher", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_missing_package_is_named_with_its_extra(monkeypatch, launcher, package):
    monkeypatch.setattr("redsm5.hpo.launchers.find_spec", {"ray": 1, "submitit": 1, package: None}.get)
    with pytest.raises(UserError, match=rf"^--launcher {launcher} needs the package {package}; pip install 'redsm5\["):
        check_launcher(HpoSettings(launcher=launcher))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"slurm": {"timeout_min": 60}}, "a database in a file serves one"),
        ({"slurm": {"timeout_min": 60}, "storage": "sqlite:////x/s.db"}, "a database in a file serves one"),
        ({"storage": "postgresql://h/d"}, "hpo.slurm needs timeout_min"),
        ({"storage": "postgresql://h/d", "slurm": {"time": 60, "nodes": 2}}, "nodes must be 1"),
        ({"storage": "postgresql://h/d", "slurm": {"time": 60, "tasks_per_node": 4}}, "tasks_per_node must be 1"),
        ({"storage": "postgresql://h/d", "slurm": {"time": 60, "gpus_per_node": 2}}, "gpus_per_node is 2, and a trial"),
        ({"storage": "postgresql://h/d", "slurm": {"time": 60, "gpus_per_node": "a100:4"}}, "gpus_per_node is a100:4"),
        ({"storage": "postgresql://h/d", "slurm": {"time": 60, "slurm_gres": "gpu:2"}}, "gres is gpu:2, and a trial"),
    ],
)
def test_slurm_wants_a_server_and_jobs_of_one_worker(monkeypatch, settings, says):
    monkeypatch.setattr("redsm5.hpo.launchers.find_spec", lambda name: name)
    with pytest.raises(UserError, match=says):
        check_launcher(HpoSettings(launcher="slurm", **settings))
    for gpus in ({}, {"gpus_per_node": 1}, {"gres": "gpu:a100:1"}, {"gres": "gpu"}):
        check_launcher(HpoSettings(launcher="slurm", storage="postgresql://h/d", slurm={"timeout_min": 60, **gpus}))


@pytest.mark.parametrize(
    ("version", "boot", "storage", "says"),
    [
        ("0.0.0", boot_id(), None, "and 0.0.0 where the search was started"),
        (__version__, "another", None, "a file of another machine"),
        (__version__, "another", "sqlite:////x/s.db", "a file of another machine"),
    ],
)
def test_worker_for_another_version_or_machine_is_refused(version, boot, storage, says):
    with pytest.raises(UserError, match=says):
        refuse_foreign(HpoSettings(storage=storage), version, boot)
    refuse_foreign(HpoSettings(storage=storage), __version__, boot_id())
    refuse_foreign(HpoSettings(storage="postgresql://h/d"), __version__, "another")


@pytest.mark.parametrize(
    ("given", "gpus", "threads", "devices"),
    [
        ({}, 0, ["3", "3"], [None, None]),
        ({"OMP_NUM_THREADS": "5"}, 0, ["5", "5"], [None, None]),
        ({}, 2, [None, None], ["0", "1"]),
        ({"CUDA_VISIBLE_DEVICES": "4,7"}, 2, [None, None], ["4", "7"]),
        ({"CUDA_VISIBLE_DEVICES": "4"}, 1, [None, None], ["4", "4"]),
    ],
)
def test_workers_share_the_gpus_or_the_cores(given, gpus, threads, devices, tmp_path, monkeypatch):
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    seen = []
    monkeypatch.setattr(on_this_machine, "usable_cores", lambda: 7)
    monkeypatch.setattr(on_this_machine, "WorkerProcess", lambda args, log, environment: seen.append(environment))
    with on_this_machine.on_this_machine(tmp_path, [], gpus, 2) as start:
        for number in range(2):
            start(number)
    assert [environment.get("OMP_NUM_THREADS") for environment in seen] == threads
    assert [environment.get("CUDA_VISIBLE_DEVICES") for environment in seen] == devices


@pytest.mark.parametrize(("on_cpu", "threads", "device"), [(True, "3", None), (False, None, "0")])
def test_trials_on_the_cpu_share_the_cores_whatever_gpus_there_are(on_cpu, threads, device, tmp_path, monkeypatch):
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    seen = []
    monkeypatch.setattr(on_this_machine, "usable_cores", lambda: 7)
    monkeypatch.setattr(on_this_machine, "WorkerProcess", lambda args, log, environment: seen.append(environment))
    settings = HpoSettings(study_dir=str(tmp_path), workers=2)
    with launch(settings, [], gpus=2, on_cpu=on_cpu) as start:
        start(0)
    assert (seen[0].get("OMP_NUM_THREADS"), seen[0].get("CUDA_VISIBLE_DEVICES")) == (threads, device)
    if on_cpu:
        with launch(settings, [], gpus=1, on_cpu=True):
            pass
    else:
        with pytest.raises(UserError, match="--workers is 2 and there is 1 GPU"):
            launch(settings, [], gpus=1)


def test_url_of_the_database_is_in_no_command_line(tmp_path, monkeypatch):
    """It may hold a password."""
    url, seen = "postgresql://me:secret@host/name", {}
    config = tmp_path / "hpo.yaml"
    config.write_text("{}", encoding="utf-8")

    def started(command, *, env, **_):
        seen.update(command=command, env=env)

    for given in (["--storage", url], [f"--storage={url}"]):
        with monkeypatch.context() as patch:
            patch.setattr(worker_process.subprocess, "Popen", started)
            made = ["--config", str(config), *given, "--as-worker", "1", "boot"]
            WorkerProcess(made, tmp_path / "worker.log", {"PATH": "/bin"})
        assert seen["command"][3:] == ["hpo", "--config", str(config), "--as-worker", "1", "boot"]
        assert seen["env"] == {"PATH": "/bin", "REDSM5_STORAGE": url}
    for name, value in seen["env"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(hpo, "_act", lambda settings, *_: seen.update(settings=settings) or 0)
    assert main(seen["command"][3:]) == 0
    assert seen["settings"].url == url
    assert "REDSM5_STORAGE" not in os.environ


def test_process_of_a_worker_gives_its_sentence(tmp_path):
    config = tmp_path / "hpo.yaml"
    config.write_text(f"hpo: {{study_dir: {tmp_path}/study}}\n", encoding="utf-8")
    log = tmp_path / "worker.log"
    process = WorkerProcess(["--config", str(config), "--as-worker", "0.0.0", ""], log, os.environ)
    how = process.wait()
    assert how == process.ending()
    assert how.code == 2
    assert how.said.endswith("install the same on all machines")
    assert not (tmp_path / "study").exists()


def test_process_of_a_worker_that_is_killed_names_its_log(tmp_path):
    process = WorkerProcess(["--show-space"], tmp_path / "worker.log", os.environ)
    assert process.ending() is None
    process.kill()
    assert process.ending() == Ending(
        -9, f"was killed (SIGKILL, most likely for want of memory) ({tmp_path}/worker.log)"
    )


WAITS = """
import time
from redsm5.hpo.worker_process import end_when_told
end_when_told()
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2, None], ids=str)
def test_worker_ends_when_it_is_told_or_its_starter_is_gone(told):
    def as_ray_and_shells_start():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    with subprocess.Popen(
        [sys.executable, "-c", WAITS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=as_ray_and_shells_start,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == b"ready\n"
        if told is None:
            process.stdin.close()
        else:
            process.send_signal(told)
        assert process.stderr.read().endswith(b"KeyboardInterrupt\n")
    assert process.returncode == -signal.SIGINT


FREES = """
import time
from redsm5.hpo.worker_process import end_when_told
end_when_told()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("told", flush=True)
    time.sleep(1)
    print("freed", flush=True)
"""


def test_second_word_does_not_cut_short_what_frees_the_trial():
    with subprocess.Popen([sys.executable, "-c", FREES], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGUSR2)  # Slurm tells all processes of a job
        assert process.stdout.readline() == b"told\n"
        for again in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2):
            process.send_signal(again)
        assert process.stdout.read() == b"freed\n"
    assert process.returncode == 0
