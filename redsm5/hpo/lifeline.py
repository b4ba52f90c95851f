"""In a process of a trial: it ends in time where its worker is stopped, and cannot end it. Torch-free."""

from __future__ import annotations

import os
import signal
import threading
import time

from redsm5.hpo.messages import ABANDONED, Alive
from redsm5.hpo.trial_process import SAVE, SAVING

AWAKE = 5.0
"""Seconds in which a worker that was stopped with this process, and wakes with it, can say whose the trial is."""


class Lifeline:
    """Has this process save where it stands, and ends it, before another worker may have its trial.

    A worker that is stopped ends nothing. When the lease is about to end and nothing was heard of the worker for a
    third of it, the fit is told to save; when the lease ends, this process ends, however alive the worker is.

    Args:
        alive: The last word of the worker; None where it holds no lease.
    """

    def __init__(self, alive: Alive | None) -> None:
        self.waits = False
        """Whether this process waits for an answer of its worker: then it has nothing to save"""
        self.has_asked = False
        """Whether the fit was told to save and end"""
        if alive is not None:
            self.hear(alive)
            threading.Thread(target=self._watch, daemon=True).start()

    def hear(self, alive: Alive) -> None:
        """A word of the worker."""
        self._alive, self._heard = alive, time.monotonic()

    def _watch(self) -> None:
        lease, spared = self._alive.lease, 0.0
        pause = min(lease / 24, 1.0)
        while True:
            before = time.monotonic()
            time.sleep(pause)
            now = time.monotonic()
            if now - before > pause + 1.0:  # this process was stopped itself
                spared = now + min(lease / 6, AWAKE)
            left, silent = self._alive.until - now, now - self._heard
            if now < spared:
                continue
            if left <= 0:
                os._exit(ABANDONED)
            if left <= min(lease / 3, SAVING) and silent > lease / 3 and not self.has_asked:
                self._ask_to_save()

    def _ask_to_save(self) -> None:
        if self.waits or signal.getsignal(SAVE) is signal.SIG_DFL:
            os._exit(ABANDONED)  # it does not train
        self.has_asked = True
        os.kill(os.getpid(), SAVE)
