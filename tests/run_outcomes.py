"""What must not depend on how often a run was interrupted."""

from __future__ import annotations

import torch

from redsm5.checkpoints.store import read_checkpoint
from redsm5.metrics_csv import read_rows
from redsm5.run.folder import RunFolder


def ended(run):
    """State and rows of the metrics of a finished run; no times."""
    folder = RunFolder(run)
    checkpoint = read_checkpoint(folder.resume_from())
    # Times differ, and with them the hash of the metrics file.
    apart = ("saves", "longest_prune", "peak_bytes", "sha256", "seconds", "fit_seconds")
    callbacks = {
        key: {name: value for name, value in state.items() if name not in apart}
        for key, state in checkpoint["callbacks"].items()
    }
    kept = {name: checkpoint[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "train_losses")}
    rows = [row for row in read_rows(folder.metrics) if row.name != "seconds"]
    return kept | {"callbacks": callbacks}, rows


def outcome(run):
    """The same, predictions and best weights."""
    folder = RunFolder(run)
    best = folder.best_checkpoint().manifest
    return *ended(run), folder.predictions("val").read_text(), best.files["weights.safetensors"]


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
