"""Checkpoints written atomically and loaded without executing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from redsm5.atomic import atomic_file, interrupts_wait
from redsm5.checkpoint_file import read_checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes with ``atomic_file``.

    Lightning's own goes through ``$TMPDIR`` and a move, which across file systems is a plain copy over the good file.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save, or raise and leave what was there.

        Raises:
            OSError: The file could not be written.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        # torch.save makes a RuntimeError of an interrupt: it waits until the file is there.
        with interrupts_wait(), atomic_file(target) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Load tensors and plain containers only, whatever the caller asks for.

        Raises:
            UserError: The file is damaged, or holds anything else.
        """
        return read_checkpoint(Path(path), map_location or "cpu")
