"""Probes from the side of who asks: a child process that is reused while it is well, and replaced when it is not."""

from __future__ import annotations

import shutil
import signal
import tempfile
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Self

from redsm5.batch_search.child import ProbeSpec, Ready, serve
from redsm5.batch_search.peaks import Reading
from redsm5.children import ending, fork_server
from redsm5.errors import UserError

DEATHS_BY_LIMIT = (signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS)
"""What libraries die of whose allocation fails, beside what the kernel sends."""
LEAST_PATIENCE = 1200.0
"""Seconds that a probe, or the building of a model, may take."""
PATIENCE = 50.0
"""How many times the longest probe so far the next one may take: it is at most 16 times larger."""


class ProbeCrashed(Exception):
    """The process of the probes ended without an answer before anything had fitted; the message is a sentence."""


class ProbeSession:
    """Tries sizes of a config. A context manager: nothing of it is left when it ends.

    Args:
        spec: What is probed; its folder is set here.
    """

    def __init__(self, spec: ProbeSpec) -> None:
        self._spec = spec
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._folder: Path | None = None
        self._ready: Ready | None = None
        self._has_fitted = False
        self._longest = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def ready(self) -> Ready:
        """Device and memory, once the model is built.

        Raises:
            UserError: The config is not usable.
            ProbeCrashed: The process died.
        """
        if self._pipe is None:
            self._start()
            answer = self._receive(LEAST_PATIENCE)
            if answer is None:
                raise ProbeCrashed(f"the process of the probes {self._how_it_ended()[0]} while it built the model")
            assert isinstance(answer, Ready)
            self._ready = self._ready or answer
        assert self._ready is not None
        return self._ready

    def probe(self, windows: int, eval_windows: int) -> Reading:
        """Try a training batch and an evaluation batch.

        Args:
            windows: Windows of the training batch.
            eval_windows: Those of the evaluation batch.

        Raises:
            UserError: The config is not usable.
            ProbeCrashed: The process died though it was small.
        """
        self.ready()
        assert self._pipe is not None
        with suppress(BrokenPipeError):  # it is gone, which the answer says
            self._pipe.send((windows, eval_windows))
        answer = self._receive(max(LEAST_PATIENCE, PATIENCE * self._longest))
        if answer is None:
            how, code = self._how_it_ended()
            self._end()
            if not self._has_fitted or not self._is_want_of_memory(code):
                raise ProbeCrashed(f"the process of the probes {how} with {windows} windows")
            return Reading(windows, eval_windows, fits=False, failure=f"the process {how}")
        assert isinstance(answer, Reading)
        self._longest = max(self._longest, answer.seconds)
        if answer.fits:
            self._has_fitted = True
        else:
            self._end()
        return answer

    def _start(self) -> None:
        context = fork_server()
        self._pipe, theirs = context.Pipe()
        spec = replace(self._spec, folder=tempfile.gettempdir())
        process = context.Process(target=serve, args=(spec, theirs), daemon=True)
        process.start()
        self._process = process
        theirs.close()
        with suppress(EOFError, ConnectionResetError):
            self._folder = self._pipe.recv()

    def _receive(self, patience: float) -> Ready | Reading | None:
        """The next answer; None where the process is gone.

        Args:
            patience: Seconds after which it hangs.
        """
        assert self._pipe is not None
        try:
            if not self._pipe.poll(patience):
                self._end()
                raise ProbeCrashed(f"the process of the probes has not answered for {patience / 60:.0f} minutes")
            answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            return None
        if isinstance(answer, UserError):
            raise answer
        assert isinstance(answer, Ready | Reading)
        return answer

    def _is_want_of_memory(self, code: int | None) -> bool:
        """Whether a death means that memory was not enough: the kernel kills for it, and libraries die of a limit."""
        assert self._ready is not None
        of_a_limit = self._spec.limited and self._ready.device == "CPU"
        return code is not None and -code in (DEATHS_BY_LIMIT if of_a_limit else (signal.SIGKILL,))

    def _how_it_ended(self) -> tuple[str, int | None]:
        assert self._process is not None
        self._process.join()
        return ending(self._process.exitcode), self._process.exitcode

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if self._pipe is not None:
            self._pipe.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._process = self._pipe = self._folder = None
