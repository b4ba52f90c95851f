"""The command line in children of a fork server, and the run that was never interrupted."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from multiprocessing import forkserver

import pytest
from fault_child import run
from run_outcomes import outcome
from tiny_runs import fit_options

OPTIONS = (
    "--trainer.max_epochs=3", "--data.batching.train=8", "--trainer.accumulate_grad_batches=2",
    "--checkpoint.every_minutes=0", "--checkpoint.keep_last=2",
)  # fmt: skip
"""Six batches and three optimizer steps per epoch, a checkpoint after each step."""


@pytest.fixture(scope="session")
def forks():
    """Forks of a process that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fault_child"])
    with pytest.MonkeyPatch.context() as patch:
        # Python 3.11 does not hand sys.path on: the server would preload nothing, and every child import for itself.
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        forkserver.ensure_running()
    return context


@pytest.fixture
def start(forks, tmp_path):
    """Start a command in a child; its output is appended to ``log`` in the test's folder."""
    children = []

    def started(args, *, fault=None, journal=None):
        child = forks.Process(target=run, args=([str(a) for a in args], tmp_path / "log", fault, journal))
        child.start()
        children.append(child)
        return child

    yield started
    for child in children:
        if child.is_alive():
            child.kill()
            child.join()


@pytest.fixture
def call(start):
    """The same, until it ends or ``kill_after`` seconds have passed; gives the exit code, -9 for a killed one."""

    def called(args, *, kill_after=None, **settings):
        child = start(args, **settings)
        child.join(kill_after)
        if kill_after is not None and child.is_alive():
            child.kill()
        child.join()
        return child.exitcode

    return called


@pytest.fixture(scope="session")
def command(tiny_corpus_dir, tiny_encoder, tmp_path_factory):
    """The command line of the fit that is interrupted here."""
    cache = tmp_path_factory.mktemp("faults-cache")

    def made(run_dir, *more):
        return fit_options(tiny_corpus_dir, tiny_encoder, run_dir, *OPTIONS, f"--data.cache_dir={cache}", *more)

    return made


@pytest.fixture(scope="session")
def whole(forks, command, tmp_path_factory):
    """What the run comes to that was never interrupted, and the seconds that it takes."""
    folder = tmp_path_factory.mktemp("whole")
    seconds = 0.0
    for name in ("first", "second"):  # the first call waits for the imports
        started = time.monotonic()
        child = forks.Process(target=run, args=(command(folder / name), folder / "log"))
        child.start()
        child.join()
        assert child.exitcode == 0, (folder / "log").read_text()
        seconds = time.monotonic() - started
    return outcome(folder / "second"), seconds
