"""A worker as a process: the command once more, on whatever machine, that ends with whoever started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from redsm5 import __version__
from redsm5.children import ending
from redsm5.errors import UserError
from redsm5.hpo.settings import HpoSettings
from redsm5.run.lock import boot_id

AS_WORKER = "--as-worker"
ASKED_TO_END = (signal.SIGTERM, signal.SIGUSR2)
"""What Slurm sends before it kills: when a job is cancelled, and before its time is up."""
REFUSED = 2
"""Exit code of a worker that says in a sentence what the user has to put right."""
URL = "--storage"
STORAGE = "REDSM5_STORAGE"
"""Variable that hands the URL of the database on to a worker: it may hold a password, and a command line is for all to
read."""
TRY_AGAIN = 75
"""Exit code of a worker whose database was away for long: EX_TEMPFAIL of sysexits.h."""
ENDED_IN_ORDER = 130
"""Exit code of a worker that was told to end, and has freed its trial."""


@dataclass(frozen=True)
class Ending:
    """How a worker ended.

    Attributes:
        code: Its exit code, or the negative number of a signal; None where nobody knows.
        said: Its sentence if the code is ``REFUSED`` or ``TRY_AGAIN``; else what is known of how it ended.
    """

    code: int | None
    said: str = ""


def worker_args(args: Sequence[str]) -> list[str]:
    """Arguments of a worker of this study.

    Args:
        args: Of ``redsm5 hpo``, as it was called.
    """
    return [*args, AS_WORKER, __version__, boot_id()]


def without_url(args: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments that others may read, and the variables that hand on the rest.

    Args:
        args: Of ``worker_args``.
    """
    left, variables = [], dict[str, str]()
    following = iter(args)
    for arg in following:
        if arg == URL:
            variables[STORAGE] = next(following)
        elif arg.startswith(f"{URL}="):
            variables[STORAGE] = arg.removeprefix(f"{URL}=")
        else:
            left.append(arg)
    return left, variables


def handed_on() -> dict[str, str]:
    """In a worker: the settings that its variables hand on; they are for no other process."""
    url = os.environ.pop(STORAGE, None)
    return {} if url is None else {"storage": url}


class WorkerProcess:
    """A worker that runs here.

    Args:
        args: Of ``worker_args``.
        log: File that what it prints is appended to; its folder must exist.
        environment: All of its variables.
    """

    def __init__(self, args: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        shown, variables = without_url(args)
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "redsm5", "hpo", *shown], stdout=file, stderr=file, stdin=subprocess.PIPE,
                env={**environment, **variables}, start_new_session=True,
            )  # fmt: skip

    def ending(self) -> Ending | None:
        """How it ended; None while it runs."""
        code = self._process.poll()
        return None if code is None else self._ending(code)

    def wait(self) -> Ending:
        """Wait until it ends; how it did."""
        return self._ending(self._process.wait())

    def ends_within(self, seconds: float) -> bool:
        """Wait so many seconds at the most; whether it ended."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def interrupt(self) -> None:
        """Have it end as Ctrl-C does: its trial can be taken up again at once."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    def _ending(self, code: int) -> Ending:
        if code == 0:
            return Ending(code)
        if code in (REFUSED, TRY_AGAIN):
            return Ending(code, _last_line(self._log))
        return Ending(code, f"{ending(code)} ({self._log})")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["a worker could not start"]
    return lines[-1].removeprefix("redsm5: error: ")


def refuse_foreign(settings: HpoSettings, version: str, boot: str) -> None:
    """In a worker: see that it can work for whoever started it.

    Args:
        settings: Of the search.
        version: Of redsm5, there.
        boot: Of the machine, there.

    Raises:
        UserError: Another version is installed here, or the database is a file on that machine.
    """
    here = socket.gethostname()
    if version != __version__:
        raise UserError(
            f"redsm5 {__version__} is installed on {here}, and {version} where the search was started; "
            "install the same on all machines"
        )
    if settings.in_a_file and boot != boot_id():
        raise UserError(
            f"a worker on {here} cannot use a database in a file of another machine; "
            "give a server with --storage postgresql://USER@HOST/NAME"
        )


def end_when_told() -> None:
    """In a worker: end as Ctrl-C does when whoever started it says so, or is gone, however it went."""
    # Ray blocks SIGINT, and shells ignore it for what runs in the background.
    for number in (signal.SIGINT, *ASKED_TO_END):
        signal.signal(number, _end_once)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, *ASKED_TO_END})
    threading.Thread(target=_end_with_starter, daemon=True).start()


def _end_once(*_: object) -> None:
    # Slurm tells all processes of a job, and the job its worker: the second word would cut short what frees the trial.
    for number in (signal.SIGINT, *ASKED_TO_END):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _end_with_starter() -> None:
    # Not through sys.stdin, whose lock would be held when the interpreter ends.
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGINT)
