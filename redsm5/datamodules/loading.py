"""From a batch plan to a DataLoader, with as many workers as the machine has use for."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch.utils.data import DataLoader

from redsm5.datamodules.batch import Batch
from redsm5.datamodules.sampler import PlanSampler

MOST_WORKERS = 12


def batch_loader(sampler: PlanSampler, *, workers: int | None, seed: int, on_gpu: bool) -> DataLoader[Batch]:
    """A loader of whole batches.

    Args:
        sampler: What they hold, in their order.
        workers: Processes that build them; None for as many as there are cores with a GPU, and none without.
        seed: Of the run.
        on_gpu: Whether batches go to a GPU.
    """
    if workers is None:
        workers = min(MOST_WORKERS, usable_cores()) if on_gpu else 0
    if workers:
        # Workers do not tokenise; without this, tokenizers warns of each fork.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return DataLoader(
        sampler.dataset,
        sampler=sampler,
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=on_gpu,
        persistent_workers=workers > 0,
        # A generator of its own: that of the process, which draws dropout, is left alone.
        generator=torch.Generator().manual_seed(seed),
    )


def usable_cores() -> int:
    """Cores that this process may use, which a cluster's scheduler may limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _as_it_is(batch: Any) -> Any:
    return batch
