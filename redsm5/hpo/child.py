"""The process of a trial: a fit that talks to its worker through a pipe, and dies with it."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

import torch

from redsm5.errors import Diverged, OutOfMemory, UserError
from redsm5.hpo.messages import Ended, Ending, Epoch, Started, Task
from redsm5.hpo.watcher import PRUNED, Watcher
from redsm5.run import fit
from redsm5.run.memory import is_out_of_memory

GB = 2**30


def serve(task: Task, pipe: Connection) -> None:
    """Fit, and send how it ended. Nothing is printed but into the log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the worker ends this one
    print_into(task.log)
    answers: SimpleQueue[bool] = SimpleQueue()
    threading.Thread(target=_listen, args=(pipe, answers), daemon=True).start()

    def tell(message: Started | Epoch) -> bool:
        pipe.send(message)
        return answers.get()

    folder = Path(task.run_dir)
    how, reason, detail = _fit(task, Watcher(task.objective, folder, task.asked, tell))
    if how == "trained" and (folder / PRUNED).exists():
        how = "pruned"
    pipe.send(Ended(how, reason, detail, time.monotonic() - task.asked, _peak_gb()))


def _fit(task: Task, watcher: Watcher) -> tuple[Ending, str, str]:
    try:
        code = fit.run([*task.args, f"--run_dir={task.run_dir}"], watcher)
    except OutOfMemory as error:
        return "out of memory", "out of memory", str(error)
    except Diverged as error:
        return "diverged", "diverged", str(error)
    except UserError as error:
        return "refused", f"refused: {error}", str(error)
    except Exception as error:
        if is_out_of_memory(error):
            return "out of memory", "out of memory", type(error).__name__
        traceback.print_exc()
        return "crashed", f"crashed: {type(error).__name__} at {_place(error)}", f"the traceback is in {task.log}"
    return ("trained", "", "") if code == 0 else ("stopped", f"ended with exit code {code}", "")


def _place(error: BaseException) -> str:
    """Where in our code it was raised: its message may hold text of posts, and so is not told."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f"{os.sep}redsm5{os.sep}" in f.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _listen(pipe: Connection, answers: SimpleQueue[bool]) -> None:
    """Hand on what is answered; when the worker is gone, however it went, end."""
    try:
        while True:
            answers.put(pipe.recv())
    except (EOFError, OSError):
        os._exit(1)


def print_into(log: str) -> None:
    """Send all that this process prints to the end of a file that others cannot read."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _peak_gb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() / GB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB
