"""Workers as Slurm jobs: submitit submits each, and the job runs the process."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redsm5.errors import UserError
from redsm5.hpo.on_this_machine import log_of
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.worker_process import Ending, WorkerProcess
from redsm5.hpo.workers import Start

CLUSTER = "slurm"
"""In the words of submitit, which also has ``local``."""
SHARED = (
    "name",
    "timeout_min",
    "mem_gb",
    "nodes",
    "cpus_per_task",
    "gpus_per_node",
    "tasks_per_node",
    "stderr_to_stdout",
)
"""Parameters that submitit has names of its own for; all others are those of sbatch, to it ``slurm_NAME``."""
LIMITS = ("timeout_min", "time", "slurm_time")
"""Any of them says how long a job may run; submitit's default is five minutes."""
GPUS = ("gpus_per_node", "gpus", "gpus_per_task", "gres")
"""Any of them says how many GPUs a job gets."""
SECONDS = 28.0
"""That a worker has to end after its job was told to, saving its trial included; Slurm kills after 30."""


def run_job(args: Sequence[str], log: str) -> tuple[int | None, str]:
    """In the job: run the worker; fields of its ``Ending``."""
    process = WorkerProcess(args, Path(log), os.environ)
    try:
        how = process.wait()
    except BaseException as error:  # raised by submitit's handler of Slurm's signal, before the time is up
        process.interrupt()
        if not isinstance(error, Exception) or not process.ends_within(SECONDS):
            raise  # what leaves the interpreter is a job that Slurm puts into the queue again by itself
        how = process.wait()
    return how.code, how.said


class Job:
    """A worker, from the side of the search.

    Args:
        job: Of submitit.
        errors: What submitit raises where it has failed.
    """

    def __init__(self, job: Any, errors: type[Exception]) -> None:
        self._job = job
        self._errors = errors
        self._ending: Ending | None = None

    def ending(self) -> Ending | None:
        """How it ended; None while it runs or waits in the queue, and until Slurm's books say otherwise."""
        if self._ending is None and self._job.done():
            self._ending = Ending(None, f"left no result (job {self._job.job_id}, {self._job.paths.stderr})")
            if self._job.paths.result_pickle.exists():  # else submitit would wait for it
                with suppress(self._errors):  # what it raised is in the file named above
                    self._ending = Ending(*self._job.result())
        return self._ending

    def interrupt(self) -> None:
        """Cancel the job: its worker hears of it, and ends as Ctrl-C does; if it does not, Slurm kills it."""
        with suppress(subprocess.CalledProcessError, OSError):
            self._job.cancel()
            self._ending = Ending(None, "was cancelled")  # which Slurm's books may say minutes later

    def kill(self) -> None:
        """Cancel the job, in case that Slurm was not there to hear it."""
        self._job.cancel(check=False)


@contextmanager
def on_slurm(settings: HpoSettings, args: Sequence[str]) -> Iterator[Start]:
    """A launcher.

    Args:
        settings: Of the search.
        args: Of ``worker_args``.

    Raises:
        UserError: There is no Slurm here, or it does not take the parameters.
    """
    from submitit import AutoExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError

    folder = settings.folder / "slurm"
    try:
        executor = AutoExecutor(folder, cluster=CLUSTER)
    except RuntimeError as error:
        raise UserError("there is no srun here: start the search where jobs are submitted to Slurm") from error
    try:
        executor.update_parameters(**{"name": "redsm5-hpo", **_named(settings.slurm)})
    except (NameError, ValueError, TypeError, AssertionError) as error:
        raise UserError(f"hpo.slurm: {' '.join(str(error).splitlines()[:1])}") from error

    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # the arguments of a job may hold the password of the database

    def start(number: int) -> Job:
        try:
            job = executor.submit(run_job, list(args), str(log_of(settings.folder, number)))
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            raise UserError(f"Slurm does not take the job: {' '.join(str(error).split())}") from error
        return Job(job, UncompletedJobError)

    yield start


def check_parameters(settings: HpoSettings) -> None:
    """See what can be seen without submitit.

    Raises:
        UserError: Parameters of the jobs are missing, or make of a job more than one worker.
    """
    if not any(name in settings.slurm for name in LIMITS):
        raise UserError("hpo.slurm needs timeout_min, the minutes that a job may run; a worker whose time is up is "
                        "replaced")  # fmt: skip
    for name in ("nodes", "tasks_per_node", "ntasks_per_node"):
        if settings.slurm.get(name, 1) != 1:
            raise UserError(f"hpo.slurm: {name} must be 1, for a job is one worker; --workers says how many")
    for name in GPUS:
        value = settings.slurm.get(name, settings.slurm.get(f"slurm_{name}"))
        count = str(value).rpartition(":")[2]  # gpu:a100:2
        if count.isdigit() and int(count) > 1:
            raise UserError(f"hpo.slurm: {name} is {value}, and a trial runs on one GPU: give 1; --workers says how "
                            "many trials run at a time")  # fmt: skip


def _named(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name if name in SHARED or name.startswith("slurm_") else f"slurm_{name}": value
            for name, value in parameters.items()}  # fmt: skip
