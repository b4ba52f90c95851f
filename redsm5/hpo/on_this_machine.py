"""Workers on this machine: a process each, one per GPU, or a share of the cores."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from redsm5.datamodules.loading import usable_cores
from redsm5.hpo.worker_process import WorkerProcess
from redsm5.hpo.workers import Start


@contextmanager
def on_this_machine(folder: Path, args: Sequence[str], gpus: int, workers: int) -> Iterator[Start]:
    """A launcher.

    Args:
        folder: Of the study, for the logs.
        args: Of ``worker_args``.
        gpus: How many there are; each worker sees one of them.
        workers: How many will be started. Without GPUs each computes on its share of the cores, unless OMP_NUM_THREADS
            says otherwise: on all of them they would get in each other's way.
    """

    def start(number: int) -> WorkerProcess:
        environment = dict(os.environ)
        if gpus:
            visible = visible_gpus(gpus)
            environment["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
        else:
            environment.setdefault("OMP_NUM_THREADS", str(max(1, usable_cores() // workers)))
        return WorkerProcess(args, log_of(folder, number), environment)

    yield start


def visible_gpus(gpus: int) -> list[str]:
    """Their names as CUDA_VISIBLE_DEVICES has them.

    Args:
        gpus: How many this process sees.
    """
    return os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")


def log_of(folder: Path, number: int) -> Path:
    """What a worker prints."""
    return folder / f"worker-{number}.log"
