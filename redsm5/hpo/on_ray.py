"""Workers on a Ray cluster: an actor each, with a GPU of its own where the cluster has any, that runs the process."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redsm5.errors import UserError
from redsm5.hpo.on_this_machine import log_of
from redsm5.hpo.settings import HpoSettings
from redsm5.hpo.worker_process import REFUSED, Ending, WorkerProcess
from redsm5.hpo.workers import Start

THREADS = "OMP_NUM_THREADS"
"""Ray sets it to the CPUs that an actor holds; what stands where the search was started goes before that."""


class Place:
    """An actor: the process of a worker on some node, for which it holds a CPU and a GPU.

    When the node, or only the actor, is gone, the process ends by itself.

    Args:
        args: Of ``worker_args``.
        number: Of the worker.
        folder: Of the study.
        directory: Where the command was called: its arguments name files from there.
        threads: Value of ``THREADS`` where it was called; None leaves Ray's.
    """

    def __init__(self, args: Sequence[str], number: int, folder: str, directory: str, threads: str | None) -> None:
        self._args = args
        self._log = log_of(Path(folder), number)
        self._directory = directory
        self._threads = threads
        self._process: WorkerProcess | None = None

    def run(self) -> tuple[int | None, str]:
        """Run the worker; fields of its ``Ending``."""
        try:
            os.chdir(self._directory)
            self._log.parent.mkdir(parents=True, exist_ok=True)
            environment = dict(os.environ)
            if self._threads is not None:
                environment[THREADS] = self._threads
            self._process = WorkerProcess(self._args, self._log, environment)
        except OSError as error:
            return REFUSED, (
                f"a worker on {socket.gethostname()} needs {error.filename}: {error.strerror}; the folder that the "
                "search was started in and --study-dir must be there on all nodes"
            )
        how = self._process.wait()
        return how.code, how.said if how.code in (0, REFUSED) else f"{how.said} on {socket.gethostname()}"

    def interrupt(self) -> None:
        """Have the worker end as Ctrl-C does."""
        if self._process is not None:
            self._process.interrupt()


class OnNode:
    """A worker, from the side of the search.

    Args:
        ray: The package.
        actor: A ``Place``.
    """

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray = ray
        self._actor = actor
        self._ready = actor.__ray_ready__.remote()
        self._run = actor.run.remote()

    def ending(self) -> Ending | None:
        """How it ended; None while it runs, or waits for a node with room for it."""
        if not self._is_done(self._run):
            return None
        try:
            return Ending(*self._ray.get(self._run))
        except self._ray.exceptions.RayError as error:
            self.kill()  # it may only be cut off; its trial is another's now
            last = (str(error).strip().splitlines() or [""])[-1].strip()
            return Ending(None, f"is gone ({type(error).__name__}: {last})")

    def interrupt(self) -> None:
        """Have it end as Ctrl-C does; at once where it has no place yet."""
        if self._is_done(self._ready):
            self._actor.interrupt.remote()
        else:
            self.kill()

    def kill(self) -> None:
        """End it."""
        self._ray.kill(self._actor)

    def _is_done(self, reference: Any) -> bool:
        return bool(self._ray.wait([reference], timeout=0)[0])


@contextmanager
def on_ray(settings: HpoSettings, args: Sequence[str], on_cpu: bool = False) -> Iterator[Start]:
    """A launcher.

    Args:
        settings: Of the search.
        args: Of ``worker_args``.
        on_cpu: Whether trials run on the CPU, whatever GPUs the cluster has.

    Raises:
        UserError: There is no cluster at the address, or it has other machines and the database is a file on this one.
    """
    address = settings.address or os.environ.get("RAY_ADDRESS")
    if address not in (None, "auto", "local"):
        _refuse_deaf(address)
    import ray

    try:
        ray.init(settings.address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(f"Ray cannot be used ({said}); name the head of a cluster with --address HOST:PORT") from error
    try:
        refuse_a_file_for(settings, ray.nodes())
        # Only what an actor asks for keeps another one off its node: by default that is nothing.
        gpus = 1 if not on_cpu and ray.cluster_resources().get("GPU", 0) >= 1 else 0
        place = ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0, max_concurrency=2)(Place)

        def start(number: int) -> OnNode:
            actor = place.remote(list(args), number, str(settings.folder), str(Path.cwd()), os.environ.get(THREADS))
            return OnNode(ray, actor)

        yield start
    finally:
        ray.shutdown()


def _refuse_deaf(address: str) -> None:
    """Of what nobody listens at, Ray says so only after minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"nothing answers at {address} ({error}); give the head of the Ray cluster with --address HOST:PORT, or "
            "leave it out for Ray on this machine"
        ) from error


def refuse_a_file_for(settings: HpoSettings, nodes: Sequence[Mapping[str, Any]]) -> None:
    """See that the database serves all nodes.

    Args:
        settings: Of the search.
        nodes: Of the cluster, as Ray describes them.

    Raises:
        UserError: It is a file on this machine, and there are others.
    """
    here = socket.gethostname()
    others = sorted({node["NodeManagerHostname"] for node in nodes if node["Alive"]} - {here})
    if settings.in_a_file and others:
        raise UserError(f"the cluster has other machines than {here} ({others[0]}), and a database in a file serves "
                        "one; give a server with --storage postgresql://USER@HOST/NAME")  # fmt: skip
