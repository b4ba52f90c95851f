"""What must not depend on how often a run was interrupted."""

from __future__ import annotations

import csv

import torch

from redsm5.checkpoints.store import read_checkpoint
from redsm5.run.folder import RunFolder


def outcome(run):
    """State, rows of the metrics, predictions and best weights of a finished run; no times."""
    folder = RunFolder(run)
    checkpoint = read_checkpoint(folder.resume_from())
    callbacks = {
        key: {
            k: v for k, v in state.items() if "seconds" not in k and k not in ("saves", "longest_prune", "peak_bytes")
        }
        for key, state in checkpoint["callbacks"].items()
    }
    kept = {name: checkpoint[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "train_losses")}
    with folder.metrics.open(newline="") as file:
        rows = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    best = folder.best_checkpoint().manifest
    return (
        kept | {"callbacks": callbacks},
        rows,
        folder.predictions("val").read_text(),
        best.files["weights.safetensors"],
    )


def assert_equal(a, b, where=""):
    """Equal to the bit, types included; names where not."""
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}/{i}")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    else:
        assert a == b or (a != a and b != b), where
