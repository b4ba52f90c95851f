"""Memory of a device: the control groups of a container, and a GPU's allocator."""

import pytest
import torch

from redsm5.batch_search import limits
from redsm5.batch_search.limits import GB, CudaMemory, _free_of_group


def group(folder, most, used, inactive=None, names=("memory.max", "memory.current"), key="inactive_file"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{most}\n")
    (folder / names[1]).write_text(f"{used}\n")
    if inactive is not None:
        (folder / "memory.stat").write_text(f"anon 1\n{key} {inactive}\n")


OLD = ("memory.limit_in_bytes", "memory.usage_in_bytes")


@pytest.mark.parametrize(
    ("own", "groups", "left"),
    [
        ("0::/\n", {"": (100, 40)}, 60),
        ("0::/\n", {"": (100, 40, 25)}, 85),
        ("0::/a/b\n", {"a": (100, 40), "a/b": (90, 10)}, 60),
        ("0::/a/b\n", {"a": (1000, 40), "a/b": ("max", 10)}, 960),
        ("0::/not/here\n", {"": (100, 30)}, 70),
        ("0::/a\n", {"a": (100, 140)}, 0),
        ("0::/a\n", {}, 2**62),
        ("", {"": (100, 40)}, 2**62),
    ],
)
def test_free_of_group_is_what_the_tightest_leaves(tmp_path, own, groups, left):
    (tmp_path / "own").write_text(own)
    for name, sizes in groups.items():
        group(tmp_path / "cgroup" / name, *sizes)
    assert _free_of_group(tmp_path / "cgroup", tmp_path / "own") == left


def test_free_of_group_knows_the_older_version(tmp_path):
    (tmp_path / "own").write_text("5:cpu,cpuacct:/x\n4:memory:/docker/1\n1:name=systemd:/y\n")
    root = tmp_path / "cgroup" / "memory"
    group(root, 2**63 - 4096, 500, names=OLD)
    group(root / "docker" / "1", 100, 40, 7, names=OLD, key="total_inactive_file")
    assert _free_of_group(tmp_path / "cgroup", tmp_path / "own") == 67
    assert _free_of_group(tmp_path / "none", tmp_path / "nothing") == 2**62


class Card:
    """A GPU of 24 GB of which another process holds some, as torch.cuda shows it."""

    def __init__(self, *, others, context, reserved=0):
        self.total, self.others, self.context, self.reserved = 24 * GB, others, context, reserved
        self.fraction = None

    def mem_get_info(self):
        return self.total - self.others - self.context - self.reserved, self.total


@pytest.fixture
def card(monkeypatch):
    def made(**facts):
        there = Card(**facts)
        monkeypatch.setattr(torch, "zeros", lambda *args, **settings: None)
        cuda = {
            "get_device_name": lambda: "RTX", "synchronize": lambda: None, "mem_get_info": there.mem_get_info,
            "memory_reserved": lambda: there.reserved,
            "set_per_process_memory_fraction": lambda share: setattr(there, "fraction", share),
        }  # fmt: skip
        for name, value in cuda.items():
            monkeypatch.setattr(torch.cuda, name, value)
        return there

    return made


def test_a_gpu_that_others_use_has_less(card):
    card(others=0, context=GB // 2, reserved=2 * GB)
    assert CudaMemory().available() == 24 * GB
    card(others=6 * GB, context=GB // 2)
    memory = CudaMemory()
    # The driver does not tell a context from other processes: as much as a context may take counts as ours.
    assert memory.overhead() == limits.LARGEST_CONTEXT
    assert memory.available() == 24 * GB - 6 * GB - GB // 2 + GB


def test_a_gpu_is_limited_with_its_context(card):
    there = card(others=0, context=GB // 2)
    CudaMemory().limit(12 * GB)
    assert there.fraction == pytest.approx((12 - 0.5) / 24)
    CudaMemory().limit(GB // 4)
    assert there.fraction == 0.0
