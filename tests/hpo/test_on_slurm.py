"""Workers as jobs of submitit: those that it runs on this machine in place of Slurm's."""

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from searches import reports, search_options

from redsm5.cli import main
from redsm5.errors import UserError
from redsm5.hpo import on_slurm
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.slots import SLOTS
from redsm5.hpo.storage import open_storage
from redsm5.hpo.worker_process import Ending

PARAMETERS = {"timeout_min": 30, "mem_gb": 4, "partition": "gpu", "slurm_account": "lab"}


@pytest.fixture
def local(monkeypatch):
    """Jobs are processes of this machine."""
    pytest.importorskip("submitit")
    monkeypatch.setattr(on_slurm, "CLUSTER", "local")


def settings(tmp_path, **parameters):
    return HpoSettings(launcher="slurm", study_dir=str(tmp_path), storage="postgresql://h/d", slurm=parameters)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"timeout_min": 5, "partitoin": "gpu"}, "hpo.slurm: Unknown argument 'partitoin'"),
        ({"timeout_min": "long"}, "hpo.slurm: Parameter \"timeout_min\" expected type"),
    ],
)  # fmt: skip
def test_parameters_that_submitit_does_not_take_are_a_sentence(local, tmp_path, parameters, says):
    with pytest.raises(UserError) as refused, on_slurm.on_slurm(settings(tmp_path, **parameters), []):
        pass
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_machine_without_slurm_is_a_sentence(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"^there is no srun here"), on_slurm.on_slurm(settings(tmp_path), []):
        pass


def test_sbatch_gets_the_parameters_by_either_name(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    for program in ("srun", "sbatch"):
        (tmp_path / program).write_text("#!/bin/sh\necho Submitted batch job 7\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with on_slurm.on_slurm(settings(tmp_path, **PARAMETERS), ["--as-worker"]) as start:
        start(0)
    assert (tmp_path / "slurm").stat().st_mode & 0o777 == 0o700
    script = (tmp_path / "slurm" / "7_submission.sh").read_text(encoding="utf-8")
    for line in ("partition=gpu", "account=lab", "time=30", "mem=4GB", "job-name=redsm5-hpo"):
        assert f"#SBATCH --{line}\n" in script


def test_submission_that_fails_is_a_sentence(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    for program, does in (("srun", "true"), ("sbatch", "echo invalid partition >&2; exit 1")):
        (tmp_path / program).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with (
        on_slurm.on_slurm(settings(tmp_path, timeout_min=5), []) as start,
        pytest.raises(UserError, match=r"^Slurm does not take the job: .*invalid partition"),
    ):
        start(0)


def finished(job):
    until = time.monotonic() + 300
    while (how := job.ending()) is None:
        assert time.monotonic() < until
        time.sleep(0.1)
    return how


def test_job_gives_the_sentence_of_its_worker(local, tmp_path):
    config = tmp_path / "hpo.yaml"
    config.write_text("hpo: {n_trials: 0}\n", encoding="utf-8")
    with on_slurm.on_slurm(settings(tmp_path, timeout_min=5), ["--config", str(config)]) as start:
        how = finished(start(3))
    assert how.code == 2
    assert "n_trials is 0" in how.said
    assert (tmp_path / "worker-3.log").read_text(encoding="utf-8") == f"redsm5: error: {how.said}\n"


class Told:
    """A worker that is told to end by a signal's handler, while the job waits for it."""

    def __init__(self, error, ends):
        self.error, self.ends, self.told = error, ends, False

    def wait(self):
        if not self.told:
            raise self.error
        return Ending(130, "ended with exit code 130")

    def interrupt(self):
        self.told = True

    def ends_within(self, seconds):
        return self.ends


@pytest.mark.parametrize(
    ("error", "ends", "code"),
    [
        (RuntimeError("Job not requeued because: timed-out"), True, 130),
        (RuntimeError("Job not requeued because: timed-out"), False, None),  # killed before its trial was free
        (SystemExit(-1), True, None),  # preempted: Slurm has put it into the queue again
    ],
)
def test_job_whose_time_is_up_says_that_its_worker_ended_in_order(error, ends, code, monkeypatch):
    worker = Told(error, ends)
    monkeypatch.setattr(on_slurm, "WorkerProcess", lambda *_: worker)
    if code is None:
        with pytest.raises(type(error)):
            on_slurm.run_job([], "log")
    else:
        assert on_slurm.run_job([], "log")[0] == code
    assert worker.told


@pytest.mark.slow
def test_jobs_share_the_budget_and_one_that_is_killed_is_replaced(
    local, postgres, tiny_corpus_dir, tiny_encoder, tmp_path, capfd
):
    url, study = postgres.new_url(), tmp_path / "study"
    killed = []

    def kill_one():
        while not list(study.glob("trials/00000/attempt-1/checkpoints/last-*")):
            time.sleep(0.1)
        storage = open_storage(url)
        with storage.engine.begin() as connection:
            (row,) = connection.execute(SLOTS.select().where(SLOTS.c.slot == 0)).all()
        storage.engine.dispose()
        worker = json.loads(row.owner)["pid"]
        parent = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)  # the job: its worker sees that it is gone, and frees its trial
        killed.append(worker)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    options = search_options(tiny_corpus_dir, tiny_encoder, tmp_path)(
        "--launcher", "slurm", "--slurm", json.dumps(PARAMETERS), "--storage", url, "--n-trials", "3", "--workers", "2",
        "--trainer.max_epochs=30",
    )  # fmt: skip
    assert main(options) == 0
    killer.join()
    made = reports(study)
    assert [report["trial"] for report in made] == [0, 1, 2]
    assert made[0]["attempts"] == 2
    assert killed[0] not in {int(report["worker"].rpartition(":")[2]) for report in made}
    assert "left no result (job " in capfd.readouterr().err
