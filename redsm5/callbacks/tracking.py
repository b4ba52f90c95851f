"""Sends ``metrics.csv`` to trackers: the file is the buffer, and a tracker that is down gets it later."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import sys
import threading
import time
from collections.abc import Container
from itertools import groupby
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import Logger

from redsm5.atomic import write_text_atomically
from redsm5.callbacks.tracker_loggers import Opener
from redsm5.logs import event
from redsm5.masking import masked
from redsm5.metrics_csv import MetricRow, rows_between

SECONDS_PER_ATTEMPT = 10.0
"""So long training waits for a tracker, once: one that does not answer is not waited for until it does."""
LARGEST_BACKLOG = 100 * 2**20
"""Bytes of metrics that a tracker lacks before a warning."""
SECONDS_BETWEEN_SAVES = 1.0


class Tracking(pl.Callback):
    """Sends to each tracker what it lacks, when an epoch and its checkpoint are done.

    Only metrics that a checkpoint covers are sent: a run that goes on never has to take one back.

    Args:
        openers: The trackers by name.
        metrics: The ``metrics.csv``; another callback writes it.
        ledger: File that says what each tracker has got.
        parameters: The config by dotted key.
    """

    def __init__(self, openers: dict[str, Opener], metrics: Path, ledger: Path, parameters: dict[str, Any]) -> None:
        self.metrics = metrics
        self.ledger = Ledger(ledger)
        shown = {key: masked(str(value)) for key, value in parameters.items()}
        self.senders = [Sender(name, opener, metrics, self.ledger, shown) for name, opener in openers.items()]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the trackers, and send what they lack of a run that goes on."""
        if trainer.is_global_zero:
            self.send()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the epoch before: its checkpoint is written."""
        if trainer.is_global_zero:
            self.send()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the last epoch."""
        if trainer.is_global_zero:
            self.send(status="success")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Say that the run has ended; it may go on later."""
        for sender in self.senders:
            sender.end("failed")

    @property
    def is_behind(self) -> bool:
        """Whether a tracker lacks something."""
        return any(sender.lacks() for sender in self.senders)

    def send(self, status: str | None = None) -> None:
        """Send what the trackers lack.

        Args:
            status: How the run has ended, if it has.
        """
        size = self.metrics.stat().st_size if self.metrics.exists() else 0
        state = random.getstate()  # MLflow draws names from it
        for sender in self.senders:
            sender.send(size, status)
        random.setstate(state)


class Ledger:
    """Which steps each tracker has got, and under which id it knows the run; safe for several threads.

    Args:
        path: The JSON file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            self._entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._entries = {}

    def entry(self, name: str, where: str) -> dict[str, Any]:
        """What is known of a tracker: ``where``, ``id``, ``parameters``, and ``sent``, by step the hash of its rows."""
        with self._lock:
            found = self._entries.get(name)
            if found is None or found["where"] != where:
                found = self._entries[name] = {"where": where, "id": None, "parameters": None, "sent": {}}
            return found

    def set(self, entry: dict[str, Any], key: str, value: str | None) -> None:
        """Set what is known of a tracker."""
        with self._lock:
            entry[key] = value

    def sent(self, entry: dict[str, Any], step: int, hashed: str) -> None:
        """Note that a tracker has got a step."""
        with self._lock:
            entry["sent"][str(step)] = hashed

    def keep(self, entry: dict[str, Any], steps: Container[int]) -> int | None:
        """Forget other steps than these; returns the first that was forgotten."""
        with self._lock:
            gone = [int(step) for step in entry["sent"] if int(step) not in steps]
            for step in gone:
                del entry["sent"][str(step)]
        return min(gone, default=None)

    def save(self) -> None:
        """Write the file.

        Raises:
            UserError: It cannot be written.
        """
        with self._lock:
            write_text_atomically(self.path, json.dumps(self._entries, indent=1) + "\n")


class Sender:
    """Sends to one tracker in a thread of its own, which alone touches the tracker.

    Args:
        name: Of the tracker.
        opener: Opens it.
        metrics: The ``metrics.csv``.
        ledger: Says what it has got.
        parameters: The config by dotted key.
    """

    def __init__(self, name: str, opener: Opener, metrics: Path, ledger: Ledger, parameters: dict[str, str]) -> None:
        self.name = name
        self._opener, self._metrics, self._ledger, self._parameters = opener, metrics, ledger, parameters
        self._entry = ledger.entry(name, opener.where)
        self._logger: Logger | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._asked = self._answered = 0  # attempts
        self._size = self._sent_to = 0  # bytes of the file: to send, and sent
        self._status: str | None = None
        self._works = True
        self._said: set[str] = set()
        self._unsaved_since: float | None = None

    def lacks(self) -> bool:
        """Whether the tracker lacks a step of the file."""
        if not self._metrics.exists():
            return False
        sent, size = self._entry["sent"], self._metrics.stat().st_size
        return any(sent.get(str(step)) != digest(rows) for step, rows in steps_between(self._metrics, 0, size))

    def send(self, size: int, status: str | None = None) -> None:
        """Ask for an attempt and wait for it, a bounded time, unless the one before has failed or still runs.

        Args:
            size: Bytes of the file that may be sent.
            status: How the run has ended, if it has: then there is one last wait.
        """
        with self._changed:
            idle = self._answered == self._asked and self._works
            self._asked += 1
            asked, self._size, self._status = self._asked, size, status
            self._changed.notify_all()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"tracker {self.name}", daemon=True)
                self._thread.start()
            answered = True
            if idle or status == "success":
                answered = self._changed.wait_for(lambda: self._answered >= asked, SECONDS_PER_ATTEMPT)
        if not answered:
            self._say("down", f"does not answer within {SECONDS_PER_ATTEMPT:g} s")
        if size - self._sent_to > LARGEST_BACKLOG:
            self._say("backlog", f"lacks more than {LARGEST_BACKLOG // 2**20} MB of metrics")

    def end(self, status: str) -> None:
        """Close the tracker if it is open and answers; nothing more is sent."""
        if self._logger is not None:
            self.send(self._sent_to, status)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._answered)
                asked, size, status = self._asked, self._size, self._status
            try:
                self._attempt(size, status)
                self._works = True
            except Exception as error:  # whatever a tracker raises, training goes on
                self._works = False
                said = " ".join(masked(f"{type(error).__name__}: {error}").split())
                self._say("down", f"cannot be reached ({said[:200]})")
            with self._changed:
                self._answered = asked
                self._changed.notify_all()

    def _attempt(self, size: int, status: str | None) -> None:
        logger = self._opened()
        sent = self._entry["sent"]
        steps = 0
        try:
            for step, rows in steps_between(self._metrics, self._sent_to, size):
                if sent.get(str(step)) == digest(rows):
                    continue
                logger.log_metrics({row.name: row.value for row in rows}, step)
                self._ledger.sent(self._entry, step, digest(rows))
                steps += 1
                self._save(later=True)
        finally:
            if steps:
                self._save()
        logger.save()
        self._sent_to = max(self._sent_to, size)
        if "down" in self._said and steps:
            self._said.discard("down")
            event("tracker caught up", tracker=self.name, steps=steps)
        if status is not None:
            self._opener.close(logger, status)
            self._logger = None

    def _opened(self) -> Logger:
        if self._logger is None:
            purge_step = self._forget() if self._opener.can_purge else None
            logger, known = self._opener.open(self._entry["id"], purge_step)
            self._ledger.set(self._entry, "id", known)
            self._save()
            self._logger = logger
        parameters = hashlib.sha256(json.dumps(self._parameters, sort_keys=True).encode()).hexdigest()[:16]
        if self._entry["parameters"] != parameters:
            self._logger.log_hyperparams(self._parameters)
            self._ledger.set(self._entry, "parameters", parameters)
            self._save()
        return self._logger

    def _forget(self) -> int | None:
        """Take steps out of the ledger that the file has no more; the first of them."""
        there = {row.step for row in rows_between(self._metrics, 0, None)} if self._metrics.exists() else set()
        return self._ledger.keep(self._entry, there)

    def _save(self, *, later: bool = False) -> None:
        """Write the ledger; later: if it has not been for a while, as it may be long."""
        now = time.monotonic()
        if self._unsaved_since is None:
            self._unsaved_since = now
        if not later or now - self._unsaved_since >= SECONDS_BETWEEN_SAVES:
            self._unsaved_since = None
            self._ledger.save()

    def _say(self, what: str, said: str) -> None:
        """Log it, and tell the user the first time."""
        event("tracker is behind", logging.WARNING, tracker=self.name, reason=said)
        if what not in self._said:
            self._said.add(what)
            print(
                f"redsm5: warning: {self.name} {said}; training goes on, what it lacks is in {self._metrics} "
                "and is sent when it answers",
                file=sys.stderr,
                flush=True,
            )


def steps_between(path: Path, start: int, end: int) -> list[tuple[int, list[MetricRow]]]:
    """The rows of a part of the file by step."""
    if start >= end:
        return []
    return [(step, list(rows)) for step, rows in groupby(rows_between(path, start, end), key=lambda row: row.step)]


def digest(rows: list[MetricRow]) -> str:
    """A hash of the values of a step; how long it took is no part of it."""
    values = [(row.name, repr(row.value)) for row in rows if row.name != "seconds"]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]
