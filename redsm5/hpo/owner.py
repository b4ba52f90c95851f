"""The process that holds a slot, and whether it has certainly ended."""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from redsm5.run.lock import boot_id


@dataclass(frozen=True)
class Owner:
    """A worker: a process, told apart from every other one of any machine and time."""

    host: str
    """For people: two machines may have the same name"""
    boot: str
    """Of the running system; no two have the same"""
    namespace: str
    """Of the process ids: two containers of one machine may both have a process 7"""
    pid: int
    started: str
    """When the process began, in ticks since boot: ids are given out again"""
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Two workers of one process are two"""

    @classmethod
    def this_process(cls) -> Owner:
        """The one that runs."""
        return cls(socket.gethostname(), boot_id(), _namespace(), os.getpid(), _started(os.getpid()) or "")

    @property
    def is_gone(self) -> bool:
        """Whether it has certainly ended; of processes that this one cannot see, nothing is known."""
        if not (self.boot and self.namespace and self.started):
            return False
        if (self.boot, self.namespace) != (boot_id(), _namespace()):
            return False
        started = _started(self.pid)
        return started is None or started not in ("", self.started)

    def to_json(self) -> str:
        """As it stands in the database."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Owner:
        """Back from there."""
        return cls(**json.loads(text))


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process began; None when it is gone, also where its parent has not noticed; "" if unknown."""
    try:
        # The name of the program stands in brackets and may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        try:
            os.kill(pid, 0)  # the processes of others may be hidden
        except ProcessLookupError:
            return None
        except OSError:
            pass
        return ""
    return None if fields[0] in "ZX" else fields[19]
