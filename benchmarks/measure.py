"""What every benchmark needs: a clock, processes of their own, medians and ratios, a table and a JSON file."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("redsm5", "torch", "lightning", "transformers", "accelerate")
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Reading:
    """Seconds since some moment in the past.

    Attributes:
        processor: Of this process, all its threads, and its ended children: other work on the machine does not count.
        wall: On the clock, the device's queue emptied.
    """

    processor: float
    wall: float

    @classmethod
    def now(cls) -> Reading:
        """Read the clocks."""
        import torch

        if torch.cuda.is_available():
            torch.cuda.synchronize()
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cls(time.process_time() + children.ru_utime + children.ru_stime, time.perf_counter())

    def since(self, earlier: Reading) -> Reading:
        """Seconds between two readings."""
        return Reading(self.processor - earlier.processor, self.wall - earlier.wall)


def in_own_process(script: str, arguments: Mapping[str, object], *, threads: int) -> dict[str, Any]:
    """Run a script of this folder with ``--result FILE`` added, so many threads, and read what it wrote there.

    Args:
        script: Its file name.
        arguments: Its options by name; ``work`` is the folder that the file goes to.
        threads: Of PyTorch and of the libraries below it.
    """
    result = Path(str(arguments["work"])) / "result.json"
    result.unlink(missing_ok=True)
    options = [f"--{name}={value}" for name, value in {**arguments, "result": result}.items()]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    command = [sys.executable, str(ROOT / "benchmarks" / script), *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not result.exists():
        sys.exit(f"{script} {' '.join(options)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    values: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return values


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a file for programs to read."""
    Path(path).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def device_type() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def machine() -> dict[str, str]:
    """Processor or GPU, Python, and the versions that the figures depend on."""
    import torch

    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        device = names[0] if names else platform.processor() or platform.machine()
    return {"device": device, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, the first column to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    print(f"\n{title}")
    for row in [columns, ["-" * width for width in widths], *rows]:
        others = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join([row[0].ljust(widths[0]), *others]))
    print(flush=True)
