"""Workers on a real Ray cluster: nodes of this machine, killed while trials run."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from searches import reports, search_options

from redsm5.errors import UserError
from redsm5.hpo import on_ray as on_ray_module
from redsm5.hpo.attempts import SLOT, is_lost
from redsm5.hpo.on_ray import on_ray, refuse_a_file_for
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.slots import SLOTS
from redsm5.hpo.storage import open_storage
from redsm5.hpo.worker_process import Ending


class Ended:
    def __init__(self, args, log, environment, seen):
        seen.append(environment)

    def wait(self):
        return Ending(0)


@pytest.mark.parametrize(("asked", "threads"), [(None, "1"), ("6", "6")])
def test_worker_computes_on_the_cpu_that_its_actor_holds_unless_it_was_said(asked, threads, tmp_path, monkeypatch):
    seen = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as Ray has it for an actor of one CPU
    monkeypatch.setattr(on_ray_module, "WorkerProcess", lambda *made: Ended(*made, seen))
    assert on_ray_module.Place([], 0, str(tmp_path), str(tmp_path), asked).run() == (0, "")
    assert seen[0]["OMP_NUM_THREADS"] == threads


SERVER = HpoSettings(storage="postgresql://h/d")


@pytest.mark.parametrize(
    ("hosts", "of_a_file"),
    [({socket.gethostname(): True}, True), ({socket.gethostname(): True, "other": True}, False),
     ({socket.gethostname(): True, "other": False}, True)],
)  # fmt: skip
def test_database_in_a_file_is_refused_where_other_machines_live(hosts, of_a_file):
    nodes = [{"NodeManagerHostname": name, "Alive": alive} for name, alive in hosts.items()]
    refuse_a_file_for(SERVER, nodes)
    if of_a_file:
        refuse_a_file_for(HpoSettings(), nodes)
    else:
        with pytest.raises(UserError, match=r"^the cluster has other machines than .* \(other\), and a database in a"):
            refuse_a_file_for(HpoSettings(), nodes)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no port", "[::1]:1"])
def test_address_where_nothing_answers_is_a_sentence(address):
    settings = HpoSettings(launcher="ray", address=address)
    with pytest.raises(UserError) as refused, on_ray(settings, []):
        pass
    assert str(refused.value).startswith(f"nothing answers at {address} (")


@pytest.fixture
def cluster(monkeypatch):
    """A head of one CPU, and a function that adds nodes of as many."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for tries_left in (2, 1, 0):
        made = Cluster()
        try:
            made.add_node(num_cpus=1, include_dashboard=False)
            break
        except Exception:  # on a busy machine a head is not up within the half minute that Ray gives it
            made.shutdown()
            if not tries_left:
                raise
    yield made
    made.shutdown()


@pytest.fixture
def search(tiny_corpus_dir, tiny_encoder, tmp_path, cluster):
    """Starts a search on the cluster."""
    started = []

    def start(*more):
        args = search_options(tiny_corpus_dir, tiny_encoder, tmp_path)(
            "--launcher", "ray", "--address", cluster.address, *more
        )
        with (tmp_path / "err.txt").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "redsm5", *args], stdout=subprocess.DEVNULL, stderr=err, start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def held(study):
    """Process -> the slot that it is at."""
    if not (study / "trials").exists():  # made after the first slot is taken
        return {}
    storage = open_storage(f"sqlite:///{study}/study.db")
    try:
        with storage.engine.begin() as connection:
            rows = connection.execute(SLOTS.select().where(~SLOTS.c.done, SLOTS.c.owner.is_not(None))).all()
    finally:
        storage.engine.dispose()
    return {json.loads(row.owner)["pid"]: row.slot for row in rows}


def family(pid):
    """A process and all that it has started."""
    found = [pid]
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [p for child in (task / "children").read_text().split() for p in family(int(child))]
    return found


def wait_for(there, seconds=900):
    until = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_trials_of_a_node_that_is_killed_are_all_there_exactly_once(search, cluster, tmp_path):
    study, budget = tmp_path / "study", 10  # enough for what comes in place of the dead one to end some
    doomed = cluster.add_node(num_cpus=1)
    process = search("--n-trials", str(budget), "--workers", "2", "--trainer.max_epochs=40")
    raylet = doomed.all_processes["raylet"][0].process.pid

    def trained_there():
        """Slot of a worker of that node that has made a checkpoint."""
        if len(at_work := held(study)) < 2:
            return None
        slots = [slot for pid, slot in at_work.items() if pid in family(raylet)]
        return [slot for slot in slots if list(study.glob(f"trials/{slot:05}/attempt-*/checkpoints/last-*"))]

    (lost,) = wait_for(trained_there)
    for pid in family(raylet):
        os.kill(pid, signal.SIGKILL)
    cluster.remove_node(doomed)
    cluster.add_node(num_cpus=1)
    assert process.wait(900) == 0, (tmp_path / "err.txt").read_text()

    made = reports(study)
    assert [report["trial"] for report in made] == list(range(budget))
    assert {report["state"] for report in made} <= {"COMPLETE", "PRUNED"}
    assert [report["trial"] for report in made if report["attempts"] > 1] == [lost]
    assert "going on from" in (study / "trials" / f"{lost:05}" / "log.txt").read_text(encoding="utf-8")
    storage = open_storage(f"sqlite:///{study}/study.db")
    trials = storage.get_all_trials(1)
    storage.engine.dispose()
    assert all(trial.state.is_finished() for trial in trials)
    assert sorted(trial.system_attrs[SLOT] for trial in trials if not is_lost(trial)) == list(range(budget))
    assert [trial.system_attrs[SLOT] for trial in trials if is_lost(trial)] == [lost]
    assert len({report["worker"] for report in made}) == 2  # the dead one ended no trial; another came in its place
    assert " is gone (Actor" in (tmp_path / "err.txt").read_text()


def environment(pid):
    pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return dict(pair.decode().split("=", 1) for pair in pairs if pair)


@pytest.mark.slow
def test_workers_have_a_gpu_each_and_a_third_waits(cluster, tmp_path):
    node = cluster.add_node(num_cpus=4, num_gpus=2)  # the head has none
    raylet = node.all_processes["raylet"][0].process.pid
    settings = HpoSettings(launcher="ray", address=cluster.address, study_dir=str(tmp_path))
    seen = {}

    def two_ended():
        for pid in family(raylet):
            with suppress(OSError):  # it has ended
                if b"--show-space" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    seen[pid] = environment(pid)
        return sum(worker.ending() is not None for worker in placed) == 2

    with on_ray(settings, ["--show-space"]) as start:
        placed = [start(number) for number in range(3)]
        wait_for(two_ended)
        (waiting,) = [worker for worker in placed if worker.ending() is None]
        assert [worker.ending() for worker in placed if worker is not waiting] == [Ending(0), Ending(0)]
        waiting.interrupt()
        wait_for(waiting.ending)
        assert waiting.ending().said.startswith("is gone (Actor")
    assert sorted(one["CUDA_VISIBLE_DEVICES"] for one in seen.values()) == ["0", "1"]
    assert {one.get("OMP_NUM_THREADS") for one in seen.values()} == {os.environ.get("OMP_NUM_THREADS", "1")}


@pytest.mark.slow
def test_ctrl_c_frees_the_trial_and_leaves_no_process(search, cluster, tmp_path):
    study = tmp_path / "study"
    process = search("--n-trials", "9", "--workers", "2", "--trainer.max_epochs=40")  # the second waits for a place
    wait_for(lambda: list(study.glob("trials/00000/attempt-1/checkpoints/last-*")))
    (worker,) = held(study)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 130
    said = (tmp_path / "err.txt").read_text().splitlines()
    assert said[-1] == "redsm5: interrupted; run the same command again to go on"
    assert held(study) == {}
    assert not Path(f"/proc/{worker}").exists()
