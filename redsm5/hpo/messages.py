"""What the process of a trial and its worker say to each other. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ending = Literal["trained", "pruned", "out of memory", "diverged", "refused", "crashed", "stopped", "killed", "stuck"]
"""How the process of a trial ended: ``refused`` with a sentence, ``crashed`` with a traceback in its log, ``killed``
without a word."""


@dataclass(frozen=True)
class Task:
    """A fit to be done.

    Attributes:
        args: Options of ``redsm5 fit``.
        run_dir: Its folder.
        objective: The metric that every epoch is reported by.
        log: File for everything that it prints.
        asked: ``time.monotonic()`` when it was asked for.
    """

    args: tuple[str, ...]
    run_dir: str
    objective: str
    log: str
    asked: float


@dataclass(frozen=True)
class Started:
    """The training begins.

    Attributes:
        epoch: Of its first batch; above 0 where it goes on.
        seconds: Since it was asked for.
    """

    epoch: int
    seconds: float


@dataclass(frozen=True)
class Epoch:
    """A validation has ended; the answer is whether to prune.

    Attributes:
        number: Of the epoch, from 0.
        value: Of the objective.
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
