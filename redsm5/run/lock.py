"""One process at a time in a run's folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from redsm5.errors import UserError
from redsm5.logs import is_further_rank

LOCK = ".lock"
NO_FLOCK = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}
"""What file systems say that have no locks, such as some network ones."""
_held: set[int] = set()
"""Descriptors of the locks that this process holds."""


def _let_go() -> None:
    """In a forked child: a process that loads data must not hold a folder beyond the end of the run that it is of."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go)


class FolderHeld(UserError):
    """Another process holds the folder.

    Args:
        said: The sentence; it names the process and since when, where that is known.
        elsewhere: Whether that process is on another host, so that nobody here can tell that it lives.
        locked: Whether the file system holds a lock for it, which goes with it on whatever host.
    """

    def __init__(self, said: str, *, elsewhere: bool = False, locked: bool = False) -> None:
        super().__init__(said)
        self.elsewhere = elsewhere
        self.lives = locked or not elsewhere
        """Whether that process certainly lives"""


@dataclass(frozen=True)
class Holder:
    """The process that holds a folder."""

    pid: int
    host: str
    boot_id: str
    """Of the running system: after another boot, all processes of this one are gone"""
    started: str
    """When it took the folder"""

    @classmethod
    def this_process(cls) -> Holder:
        """The one that runs."""
        return cls(os.getpid(), socket.gethostname(), boot_id(), datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended: nothing is known of processes of other hosts."""
        if self.host != socket.gethostname():
            return False
        if self.boot_id != boot_id():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it is another user's
            return False
        return False


@dataclass(frozen=True)
class Writes:
    """How a refusal calls what a folder is held for."""

    target: str
    """What cannot be written"""
    doing: str
    """What another process does with it, after its name"""
    option: str
    """That names another one"""


@contextmanager
def run_lock(folder: Path, *, writes: Writes | None = None) -> Iterator[None]:
    """Hold the lock of a folder, which is made if need be; it goes with the process, however that ends.

    Further ranks of the same run do not ask for it.

    Args:
        folder: Of the run, or where files wait until they are whole.
        writes: What is written, in messages; None for a run.

    Raises:
        FolderHeld: Another process holds it.
        UserError: The folder cannot be made.
    """
    if is_further_rank():
        yield
        return
    path = folder / LOCK
    writes = writes or Writes(f"into run_dir {folder}", f"is at work in {folder}", "--run_dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = _flocked(path, writes)
    except OSError as error:
        raise UserError(f"cannot write {writes.target}: {error.strerror}; choose another {writes.option}") from error
    _held.add(descriptor)
    try:
        yield
    finally:
        if descriptor in _held:  # not in a forked child
            # Without flock, what stands there after the end would be taken for a holder by other hosts.
            with suppress(OSError):
                path.unlink()
            _held.discard(descriptor)
            os.close(descriptor)


def boot_id() -> str:
    """Something that changes with every boot, where the system says it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _flocked(path: Path, writes: Writes) -> int:
    """Take the lock file; its descriptor. The kernel decides, and frees it with the process."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise _refusal(path, _holder(path), writes, locked=True) from None
        except OSError as error:
            os.close(descriptor)
            if error.errno in NO_FLOCK:
                return _claimed(path, writes)
            raise
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                os.ftruncate(descriptor, 0)
                _write_holder(descriptor)
                return descriptor
        os.close(descriptor)  # of a file that its holder removed meanwhile


def _claimed(path: Path, writes: Writes) -> int:
    """Take the lock file where there is no flock: who links a whole file there has it, unless its process is gone."""
    own = path.with_name(f"{LOCK}.{socket.gethostname()}.{os.getpid()}")
    own.unlink(missing_ok=True)
    descriptor = os.open(own, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    _write_holder(descriptor)
    try:
        for _ in range(3):
            if (judged := _content(path)) is not None:
                holder = _parsed(judged)  # an empty file is what a try for a flock leaves
                if holder is not None and not holder.is_gone:
                    break
                _put_away(path, judged)
            with suppress(FileExistsError):
                os.link(own, path)
                return descriptor
        os.close(descriptor)
        raise _refusal(path, _holder(path), writes)
    finally:
        own.unlink()


def _put_away(path: Path, judged: bytes) -> None:
    """Remove a stale lock file, unless another process has replaced it since it was judged."""
    aside = path.with_name(f"{LOCK}.{socket.gethostname()}.{os.getpid()}.stale")
    with suppress(FileNotFoundError):
        os.rename(path, aside)
        if aside.read_bytes() != judged:
            os.rename(aside, path)
        else:
            aside.unlink()


def _write_holder(descriptor: int) -> None:
    os.pwrite(descriptor, (json.dumps(asdict(Holder.this_process())) + "\n").encode("utf-8"), 0)
    os.fsync(descriptor)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _parsed(content: bytes | None) -> Holder | None:
    try:
        holder = Holder(**json.loads(content or b""))
        return holder if isinstance(holder.pid, int) and holder.pid > 0 else None
    except (ValueError, TypeError):
        return None


def _holder(path: Path) -> Holder | None:
    return _parsed(_content(path))


def _refusal(path: Path, holder: Holder | None, writes: Writes, *, locked: bool = False) -> FolderHeld:
    if holder is None:
        return FolderHeld(f"another process {writes.doing}; wait for it, or choose another {writes.option}")
    where = f"process {holder.pid} on host {holder.host} {writes.doing} since {holder.started}"
    if holder.host == socket.gethostname():
        return FolderHeld(f"{where}; wait for it, or choose another {writes.option}")
    gone = f"remove {path} if that process is gone"
    return FolderHeld(f"{where}; wait for it, choose another {writes.option}, or {gone}", elsewhere=True, locked=locked)
