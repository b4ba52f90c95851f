"""The log of a run: ``run.jsonl`` for machines beside ``run.log`` for people. Torch-free.

Secrets are masked in all of it, and the text of posts never stands there.
"""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import socket
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

from redsm5 import __version__
from redsm5.errors import UserError
from redsm5.masking import masked, secrets_of_environment, without_posts
from redsm5.tracebacks import traceback_of

JSON_LINES = "run.jsonl"
READABLE = "run.log"
LIBRARIES = ("torch", "lightning", "transformers", "peft", "numpy")
LONGEST = 20_000
"""Characters of a value; a traceback is the longest."""

RANKS = ("LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
"""Variables that are above 0 in further processes of a run: of Lightning, of torchrun, of ``srun``."""

Position = Callable[[], tuple[int | None, int | None]]

_logger = logging.getLogger("redsm5")
_logger.addHandler(logging.NullHandler())
_position: Position = lambda: (None, None)  # noqa: E731


def event(message: str, level: int = logging.INFO, /, **context: Any) -> None:
    """Log something that happened.

    Args:
        message: What, in a few words that are the same each time.
        level: Of ``logging``.
        context: Values that belong to it: numbers, names, paths.
    """
    _logger.log(level, message, extra={"context": context})


def position_is(position: Position | None) -> None:
    """Say how to ask for the epoch and the step of the training, or None when there is none."""
    global _position
    _position = position or (lambda: (None, None))


@contextmanager
def run_logs(folder: Path, command: str) -> Iterator[None]:
    """Log into a run's folder what happens in the block: events, warnings, and how it ends.

    Further ranks of the same run do not log.

    Args:
        folder: Of the run; there already.
        command: What runs.

    Raises:
        UserError: The files cannot be written.
    """
    if is_further_rank():
        yield
        return
    handlers = _handlers(folder)
    for handler in handlers:
        _logger.addHandler(handler)
    level, showwarning = _logger.level, warnings.showwarning
    _logger.setLevel(logging.INFO)
    warnings.showwarning = _logged_too(showwarning)
    try:
        where = {"config": str(folder / "config.yaml"), "pid": os.getpid(), "host": socket.gethostname()}
        event("start", command=command, **where, **_versions())
        yield
        event("finish", command=command)
    except UserError as error:
        event("stopped", logging.ERROR, reason=str(error))
        raise
    except KeyboardInterrupt:
        event("interrupted", logging.WARNING)
        raise
    except Exception as error:
        event("crash", logging.ERROR, kind=type(error).__name__, traceback=traceback_of(error))
        raise
    finally:
        warnings.showwarning = showwarning
        position_is(None)
        _logger.setLevel(level)
        for handler in handlers:
            _logger.removeHandler(handler)
            with suppress(OSError):
                handler.close()


def is_further_rank() -> bool:
    """Whether this process was started by another one of the same run, to share its work."""
    return any(int(os.environ.get(rank) or 0) for rank in RANKS)


class JsonLine(logging.Formatter):
    """A record as a line of JSON: time, level, run, epoch, step, message, context.

    Args:
        run: Name of the run.
    """

    def __init__(self, run: str) -> None:
        super().__init__()
        self.run = run

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        epoch, step = _position()
        values = {
            "time": _time(record, "milliseconds"),
            "level": record.levelname,
            "run": self.run,
            "epoch": epoch,
            "step": step,
            "message": record.getMessage(),
            "context": getattr(record, "context", {}),
        }
        return json.dumps(_plain(values, secrets_of_environment()), ensure_ascii=False)


class ReadableLine(logging.Formatter):
    """A record as a line to read; tracebacks, which follow such a line, are left to ``redsm5.run.crash``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        epoch, step = _position()
        where = "" if epoch is None else f"epoch {epoch}, step {step}: "
        context = {k: v for k, v in getattr(record, "context", {}).items() if k != "traceback"}
        secrets = secrets_of_environment()
        values = ", ".join(f"{name} {_short(value)}" for name, value in _plain(context, secrets).items())
        message = masked(record.getMessage(), secrets)
        return " ".join(
            f"{_time(record, 'seconds')} {record.levelname} {where}{message}{f' ({values})' if values else ''}".split()
        )


class _RunFile(logging.FileHandler):
    """A file of the log; when the disk is full, training goes on without it."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: ``logging`` would print the record, unmasked."""


def _handlers(folder: Path) -> list[logging.Handler]:
    handlers: list[logging.Handler] = []
    for name, formatter in ((JSON_LINES, JsonLine(folder.name)), (READABLE, ReadableLine())):
        try:
            handler = _RunFile(folder / name, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise UserError(f"cannot write {folder / name}: {error.strerror}; make its folder writable") from error
        handler.setFormatter(formatter)
        handlers.append(handler)
    return handlers


def _logged_too(show: Callable[..., None]) -> Callable[..., None]:
    def shown(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        show(message, category, filename, lineno, file, line)
        said = " ".join(without_posts(str(message)).split())
        event(said, logging.WARNING, category=category.__name__, file=filename, line=lineno)

    return shown


def _versions() -> dict[str, str]:
    found = {"redsm5": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _time(record: logging.LogRecord, precision: str) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec=precision)


def _plain(value: Any, secrets: Sequence[str]) -> Any:
    """A value as JSON has it, with secrets masked."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {masked(str(key), secrets): _plain(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, secrets) for item in value]
    return masked(str(value), secrets)[:LONGEST]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
