"""Several workers on this machine: the same command, once per process, one per GPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from redsm5.errors import UserError
from redsm5.hpo.board import Board
from redsm5.hpo.records import Records, read_records
from redsm5.hpo.study import Study

POLL = 2.0
"""Seconds between two looks at the workers and the study."""
DEATHS = 20
"""Workers that are replaced before the search gives up: something kills them."""
GRACE = 30.0
"""Seconds that workers have to end when they are told to."""
AS_WORKER = "--as-worker"


@dataclass
class _Worker:
    number: int
    process: subprocess.Popen[bytes]


def run_workers(study: Study, args: Sequence[str], board: Board, gpus: int) -> Records:
    """Start the workers, replace those that die, and wait until the budget is used up.

    Args:
        study: The study, begun.
        args: Of the command, as it was called.
        board: Shows the trials.
        gpus: How many there are; each worker sees one of them.

    Raises:
        UserError: A worker ended with a sentence, or too many die.
    """
    start = _starter(study.folder, [*args, AS_WORKER], gpus)
    workers = [start(number) for number in range(study.settings.workers)]
    deaths = 0
    try:
        while True:
            records = read_records(study.optuna)
            board.update(records)
            if len(records.ended) >= study.settings.n_trials:
                return records
            for place, worker in enumerate(workers):
                code = worker.process.poll()
                if code is None or code == 0:
                    continue
                log = _log(study.folder, worker.number)
                if code == 2:
                    raise UserError(_last_line(log))
                deaths += 1
                board.note(f"worker {worker.number} ended with {code}; another one takes its place ({log})")
                if deaths > DEATHS:
                    raise UserError(f"{deaths} workers have died; {log} says more")
                workers[place] = start(worker.number)
            time.sleep(POLL)
    finally:
        _end(workers)


def _starter(folder: Path, args: Sequence[str], gpus: int) -> Callable[[int], _Worker]:
    def start(number: int) -> _Worker:
        environment = dict(os.environ)
        if gpus:
            visible = environment.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
            environment["CUDA_VISIBLE_DEVICES"] = visible[number % len(visible)]
        with _log(folder, number).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "redsm5", "hpo", *args], stdout=log, stderr=log, stdin=subprocess.PIPE,
                env=environment, start_new_session=True,
            )  # fmt: skip
        return _Worker(number, process)

    return start


def end_with_starter() -> None:
    """End this worker as Ctrl-C does when the process that started it is gone, however it went."""

    def wait() -> None:
        # Not through sys.stdin, whose lock would be held when the interpreter ends.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, daemon=True).start()


def _log(folder: Path, number: int) -> Path:
    return folder / f"worker-{number}.log"


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["a worker could not start"]
    return lines[-1].removeprefix("redsm5: error: ")


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        if worker.process.poll() is None:
            worker.process.send_signal(signal.SIGINT)
    until = time.monotonic() + GRACE
    for worker in workers:
        try:
            worker.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.kill()
            worker.process.wait()
