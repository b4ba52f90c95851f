"""The process of a trial: a fit that talks to its worker through a pipe, and dies with it."""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue

import torch

from redsm5.checkpoints.space import disk_fails
from redsm5.children import end_with
from redsm5.errors import Diverged, MachineFault, OutOfMemory, UserError
from redsm5.hpo.lifeline import Lifeline
from redsm5.hpo.messages import (
    ABANDONED,
    NO_MEMORY,
    PRUNED,
    STUCK,
    WORKER_STOPPED,
    Alive,
    Ended,
    Ending,
    Epoch,
    Stage,
    Started,
    Task,
)
from redsm5.hpo.usage import Usage
from redsm5.hpo.watcher import Watcher
from redsm5.run import fit
from redsm5.run.folder import AnotherConfig
from redsm5.run.memory import is_out_of_memory
from redsm5.tracebacks import place_of, traceback_of

GB = 2**30
OF_RANKS = (
    "SLURM_PROCID", "SLURM_NNODES", "SLURM_LOCALID", "SLURM_NODEID", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "RANK",
    "WORLD_SIZE", "TORCHELASTIC_RUN_ID",
)  # fmt: skip
"""Variables by which Lightning and our logs take a process for one of several: with ``SLURM_NTASKS`` it would want as
many devices, and a rank above 0 writes no files."""
MACHINE_FAULT = 74
"""Exit code of a stage that the machine or the network did not allow: EX_IOERR of sysexits.h."""


def forget_ranks() -> None:
    """Drop what Slurm, torchrun and the like have said of this process: it is no rank of anything, but alone."""
    for name in [name for name in os.environ if name in OF_RANKS or name.startswith("SLURM_NTASKS")]:
        del os.environ[name]


def leave_to_worker() -> None:
    """Ignore what Ctrl-C, or Slurm before the time of a job is up, sends to all: the worker says so to this process."""
    for number in (signal.SIGINT, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def serve(task: Task, pipe: Connection) -> None:
    """Fit, and send how it ended. Nothing is printed but into the log."""
    leave_to_worker()
    forget_ranks()
    print_into(task.log)
    answers: SimpleQueue[int] = SimpleQueue()
    lifeline = Lifeline(task.alive)

    def hear(said: int | Alive) -> None:
        if isinstance(said, Alive):
            lifeline.hear(said)
        else:
            answers.put(said)

    end_with(pipe, hear)

    folder = Path(task.run_dir)

    def ask(message: Stage | Started | Epoch) -> int:
        if isinstance(message, Epoch):
            _note_usage(task)  # whatever becomes of this process
        lifeline.waits = True
        pipe.send(message)
        answer = answers.get()
        lifeline.waits = False
        return answer

    watcher = Watcher(task.objective, task.prune_by, folder, task.asked, lambda message: bool(ask(message)))
    args = [*task.args, f"--run_dir={task.run_dir}"]

    def fitted() -> int:
        code = fit.run(args, watcher, make_stage=lambda stage: ask(Stage(tuple(stage))))
        if folder.is_dir():
            _note_usage(task)
        return code

    how, reason, detail = ending_of(fitted, task.log)
    if how == "trained" and (folder / PRUNED).exists():
        how = "pruned"
    if how == "killed" and lifeline.has_asked:
        sys.exit(ABANDONED)
    pipe.send(Ended(how, reason, detail, time.monotonic() - task.asked, _usage(task).memory_gb))


def _usage(task: Task) -> Usage:
    """What the trial has taken by now, in this process and those before it."""
    memory = max(_peak_gb(), Usage.of(Path(task.run_dir)).memory_gb or 0.0)
    return Usage(memory, task.spent + time.monotonic() - task.asked)


def _note_usage(task: Task) -> None:
    _usage(task).note(Path(task.run_dir))


def serve_stage(stage: Stage, log: str, pipe: Connection) -> None:
    """Make a stage of pretraining, and send the exit code."""
    from redsm5.commands import pretrain

    leave_to_worker()
    forget_ranks()
    print_into(log)
    lifeline = Lifeline(stage.alive)
    end_with(pipe, lifeline.hear)
    try:
        code = pretrain.run(argparse.Namespace(out=None, config=list(stage.args)))
    except UserError as error:
        print(f"redsm5: error: {error}", flush=True)
        code = _code_of(error, 2)
    except Exception as error:
        print(traceback_of(error), flush=True)
        code = _code_of(error, 1)
    pipe.send(ABANDONED if code > 128 and lifeline.has_asked else code)


def _code_of(error: Exception, other: int) -> int:
    """The exit code of a stage that raised: one of its own where that is no fault of its config, else another."""
    if isinstance(error, OutOfMemory) or is_out_of_memory(error):
        return NO_MEMORY
    return MACHINE_FAULT if isinstance(error, MachineFault) or disk_fails(error) else other


def ending_of(do: Callable[[], int], log: str) -> tuple[Ending, str, str]:
    """How a fit ends: in a word, in a few, and as a sentence.

    Args:
        do: The fit; returns an exit code.
        log: Where it prints to.
    """
    try:
        code = do()
    except OutOfMemory as error:
        return "out of memory", "out of memory", str(error)
    except Diverged as error:
        return "diverged", "diverged", str(error)
    except AnotherConfig as error:
        return "differs", "another config", str(error)
    except UserError as error:
        if isinstance(error, MachineFault) or disk_fails(error):
            return "machine", "machine", str(error)
        return "refused", f"refused: {error}", str(error)
    except Exception as error:
        if is_out_of_memory(error):
            return "out of memory", "out of memory", type(error).__name__
        print(traceback_of(error), flush=True)
        if disk_fails(error):
            return "machine", "machine", machine_fails(log)
        return "crashed", f"crashed: {type(error).__name__} at {place_of(error)}", f"the traceback is in {log}"
    return _of_code(code, log)


def _of_code(code: int, log: str) -> tuple[Ending, str, str]:
    """How a fit ended that raised nothing: of itself, or with the code of a stage that was not made, or by a signal."""
    if code == 0:
        return "trained", "", ""
    if code == STUCK:
        return "stuck", "nothing was heard of its pretraining", ""
    if code == NO_MEMORY:
        said = f"a stage of its pretraining did not fit into memory; {log} says more"
        return "out of memory in pretraining", "out of memory", said
    if code == MACHINE_FAULT:
        return "machine", "machine", machine_fails(log)
    if code == ABANDONED:
        return "killed", WORKER_STOPPED, ""
    if code > 128:
        return "killed", f"killed by {signal.Signals(code - 128).name}", ""
    return "refused", "a stage of its pretraining was not made", f"{log} says why"


def machine_fails(log: str) -> str:
    """The sentence where a library could not write, or a stage of pretraining not be made."""
    return f"a disk is full, or disk or network do not work, as {log} says; mend it, and the same command goes on"


def print_into(log: str) -> None:
    """Send all that this process prints to the end of a file that others cannot read."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)


def _peak_gb() -> float:
    """Of the GPU; of the process where the trial used none, though there may be one."""
    reserved = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else 0
    if reserved > 0:
        return reserved / GB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB
