"""What a trial has taken so far, in the folder of its run: it goes with the run to the next attempt."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from redsm5.atomic import write_text_atomically

USAGE = "usage.json"


@dataclass(frozen=True)
class Usage:
    """Of all processes that a run took."""

    memory_gb: float | None = None
    """Peak in 2^30 bytes: of the GPU, else of the process; None where it is not known"""
    seconds: float = 0.0
    """Of wall time"""

    @classmethod
    def of(cls, run_dir: Path) -> Usage:
        """As the last of the processes has noted it; nothing where none has."""
        path = run_dir / USAGE
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls()

    def note(self, run_dir: Path) -> None:
        """Write it down."""
        write_text_atomically(run_dir / USAGE, json.dumps(asdict(self)) + "\n")
