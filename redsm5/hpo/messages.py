"""What the process of a trial and its worker say to each other. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ending = Literal[
    "trained", "pruned", "out of memory", "out of memory in pretraining", "diverged", "refused", "differs", "crashed",
    "killed", "stuck", "machine",
]  # fmt: skip
"""How the process of a trial ended: ``refused`` with a sentence, ``differs`` where the run that it was to go on with
has another config, ``crashed`` with a traceback in its log, ``killed`` without a word or by a signal that it heeded,
``machine`` where a disk is full or the like, which is no fault of the trial."""

WITH_SERVER = "killed with the server that it was forked from"
"""Why a process ended, where its server was killed."""

ABANDONED = 75
"""Exit code of a process that ended because it heard nothing of its worker: EX_TEMPFAIL of sysexits.h."""
WORKER_STOPPED = "ended while its worker was stopped"
"""Why such a process ended."""

PRUNED = "pruned.json"
"""In a run's folder: the epoch after which it was pruned. Written before the training stops, so that a trial that is
taken up again after a kill is still a pruned one."""

STUCK = 124
"""What stands for the exit code of a stage that was ended because nothing was heard of it; ``timeout`` has the same."""
NO_MEMORY = 71
"""Exit code of a stage that memory was not enough for: EX_OSERR of sysexits.h."""


@dataclass(frozen=True)
class Alive:
    """The worker lives, and ends the trial with its lease; said again and again.

    Attributes:
        until: When the lease ends, unless it is renewed, by ``time.monotonic()``, which all processes share.
        lease: Seconds of a whole one.
    """

    until: float
    lease: float


@dataclass(frozen=True)
class Task:
    """A fit to be done.

    Attributes:
        args: Options of ``redsm5 fit``.
        run_dir: Its folder.
        objective: The metric that is optimised.
        prune_by: The metric that every epoch is reported by.
        log: File for everything that it prints.
        asked: ``time.monotonic()`` when it was asked for.
        spent: Seconds that the trial had taken before.
        alive: The first word of its worker; None where that holds no lease.
    """

    args: tuple[str, ...]
    run_dir: str
    objective: str
    prune_by: str
    log: str
    asked: float
    spent: float = 0.0
    alive: Alive | None = None


@dataclass(frozen=True)
class Stage:
    """A stage of pretraining is to be made before the fit; the answer is the exit code of making it.

    Attributes:
        args: Options of ``redsm5 pretrain``.
        alive: As of a task.
    """

    args: tuple[str, ...]
    alive: Alive | None = None


@dataclass(frozen=True)
class Started:
    """The training begins.

    Attributes:
        epoch: Of its first batch; above 0 where it goes on.
        seconds: Since it was asked for.
        pretraining: Of them, for stages that were made; the worker knows.
    """

    epoch: int
    seconds: float
    pretraining: float = 0.0


@dataclass(frozen=True)
class Epoch:
    """A validation has ended; the answer is whether to prune.

    Attributes:
        number: Of the epoch, from 0.
        value: Of the metric that the pruner compares.
    """

    number: int
    value: float


@dataclass(frozen=True)
class Ended:
    """The fit has ended.

    Attributes:
        how: In a word.
        reason: In a few words, the same for the same cause; empty where it trained to its end or was pruned.
        detail: The sentence.
        seconds: Since it was asked for.
        memory_gb: Peak memory in 2^30 bytes: of the GPU, else of the process; None where it is not known.
    """

    how: Ending
    reason: str = ""
    detail: str = ""
    seconds: float = 0.0
    memory_gb: float | None = None
