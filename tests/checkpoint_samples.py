"""Small checkpoints for tests."""

from __future__ import annotations

import torch

from redsm5.checkpoints.folder import CheckpointFolder
from redsm5.checkpoints.store import write_checkpoint

BASE = {"id": "some/encoder", "revision": None, "sha256": None}


def facts(kind="resume", **changes):
    """Facts of a manifest."""
    values = {"kind": kind, "epoch": 0, "step": 10, "monitor": "val_f1_macro", "mode": "max", "value": 0.5}
    return {**values, "val_loss": 1.0, "base": BASE, **changes}


def state(seed=0, size=64):
    """Something like what Lightning gathers."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(size, generator=generator)
    return {
        "state_dict": {"network.w": weight, "network.tied": weight},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0), "exp_avg": weight * 2}}, "param_groups": []}],
        "epoch": 4,
    }


def put(folder: CheckpointFolder, kind="resume", *, epoch=0, step=None, size=64, **changes):
    """Write one; returns its path."""
    step = 10 * (epoch + 1) if step is None else step
    path = folder.new_path(kind, epoch, step)
    write_checkpoint(path, state(epoch, size), facts(kind, epoch=epoch, step=step, **changes))
    return path
