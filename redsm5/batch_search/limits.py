"""How much memory a probe may use: measured, limited and counted, on a GPU or a CPU."""

from __future__ import annotations

import ctypes
import re
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

import torch

GB = 1024**3
"""Bytes of a GB, as on the label of a graphics card."""


class Memory(ABC):
    """The memory of the device that this process computes on."""

    name: str
    """Of the device"""
    repeats = 1
    """How often the full batch is to be passed"""

    @abstractmethod
    def available(self) -> int:
        """Bytes that could be had, with what this process has already."""

    @abstractmethod
    def limit(self, total: int) -> None:
        """Let what exceeds this many bytes, with all that the process has already, fail as if there were no more."""

    @abstractmethod
    def start(self) -> None:
        """Begin a new peak."""

    @abstractmethod
    def peak(self) -> int:
        """Bytes of the process at the peak since ``start``."""

    @abstractmethod
    def overhead(self) -> int:
        """Bytes that count against the limit and are in no peak."""


class CudaMemory(Memory):
    """A GPU: the caching allocator's count, and beside it what the driver and other processes hold."""

    # A second batch meets what the first has left in the allocator.
    repeats = 2

    def __init__(self) -> None:
        self.name = torch.cuda.get_device_name()
        torch.zeros(1, device="cuda")  # the context is there from now on
        torch.cuda.synchronize()

    def available(self) -> int:
        """All of it, less what other processes hold."""
        return torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() + self.overhead()

    def limit(self, total: int) -> None:
        """Cap the allocator; the context counts too."""
        share = (total - self.overhead()) / torch.cuda.mem_get_info()[1]
        torch.cuda.set_per_process_memory_fraction(min(max(share, 0.0), 1.0))

    def start(self) -> None:
        """Reset the allocator's own high-water mark."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        """Allocated tensors at the peak."""
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()

    def overhead(self) -> int:
        """The context of this process; the driver does not tell it apart from other processes, whose share is cut."""
        free, total = torch.cuda.mem_get_info()
        return min(total - free - torch.cuda.memory_reserved(), LARGEST_CONTEXT)


LARGEST_CONTEXT = GB
"""A CUDA context with the kernels and workspaces of its libraries takes 0.3 to 0.8 GB; the rest is of others."""


class CpuMemory(Memory):
    """This process's resident memory; the limit holds for its data segment (Linux)."""

    name = "CPU"
    _libc = ctypes.CDLL(None)

    def available(self) -> int:
        """What the machine and the control group leave free."""
        return min(_free_of_machine(), _free_of_group()) + _status("RssAnon")

    def limit(self, total: int) -> None:
        """Limit what is private and writable: libraries, mapped from files, take address space but no memory."""
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (total, resource.getrlimit(resource.RLIMIT_DATA)[1]))

    def start(self) -> None:
        """Give freed memory back and let the kernel count anew; where it may not, the peak is the whole process's."""
        if hasattr(self._libc, "malloc_trim"):  # the GNU library's
            self._libc.malloc_trim(0)
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        """The high-water mark of resident memory, less what is shared with other processes."""
        return _status("VmHWM") - _status("RssFile") - _status("RssShmem")

    def overhead(self) -> int:
        """Address space that was asked for and not used: stacks of threads, arenas."""
        return max(_status("VmData") - _status("RssAnon"), 0)


def memory(*, on_cpu: bool = False) -> Memory:
    """That of the device that training uses here.

    Args:
        on_cpu: Whether it uses the CPU, whatever else there is.
    """
    return CudaMemory() if torch.cuda.is_available() and not on_cpu else CpuMemory()


def _status(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return 0 if found is None else int(found[1]) * 1024


def _free_of_machine() -> int:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _free_of_group(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> int:
    """What the control groups of this process leave, the tightest of them, in either version of control groups.

    Pages of files that nobody has used for a while count as free: the kernel drops them before it kills.

    Args:
        root: Where they are mounted.
        own: Says which one this process is in.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text().splitlines()]
    except OSError:
        lines = []
    left = [2**62]
    for _, controllers, path in (line for line in lines if len(line) == 3):
        names = ("memory.max", "memory.current")
        base = root
        if "memory" in controllers.split(","):
            base, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        elif controllers:
            continue
        inner = base / path.strip("/")
        # In a container the path is that of the host, and only the root of it is there.
        for group in (inner, *inner.parents):
            if group.is_relative_to(base):
                left.append(_left_of(group, *names))
    return max(min(left), 0)


def _left_of(group: Path, most: str, used: str) -> int:
    try:
        limit, taken = int((group / most).read_text()), int((group / used).read_text())
    except (OSError, ValueError):  # no such group, or no limit: max
        return 2**62
    found = None
    with suppress(OSError):
        found = re.search(r"^(?:total_)?inactive_file (\d+)", (group / "memory.stat").read_text(), re.MULTILINE)
    return limit - taken + (int(found[1]) if found else 0)
