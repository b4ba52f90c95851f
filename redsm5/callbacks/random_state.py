"""Random state in the checkpoint: a resumed run draws what the uninterrupted one would have drawn."""

from __future__ import annotations

import random
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch


class RandomState(pl.Callback):
    """Saves the states of Python's, NumPy's and PyTorch's generators and sets them again when training goes on."""

    def __init__(self) -> None:
        self._restored: dict[str, Any] | None = None

    def state_dict(self) -> dict[str, Any]:
        """The states of every rank, in types that load without executing anything."""
        states = [_states()]
        if _distributed():
            states *= torch.distributed.get_world_size()
            torch.distributed.all_gather_object(states, _states())
        return {"ranks": states}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training starts: building the model draws numbers too."""
        self._restored = state_dict

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set the states."""
        if self._restored is None:
            return
        states, self._restored = self._restored["ranks"], None
        rank = torch.distributed.get_rank() if _distributed() else 0
        state = states[rank % len(states)]  # at the end of an epoch there may be more ranks than before
        version, internal, gauss = state["python"]
        random.setstate((version, tuple(internal), gauss))
        name, keys, position, has_gauss, cached = state["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
        torch.set_rng_state(state["torch"].cpu())
        if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all([device.cpu() for device in state["cuda"]])


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _states() -> dict[str, Any]:
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
