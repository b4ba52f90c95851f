"""How Lightning writes and reads a checkpoint here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.fabric.plugins import CheckpointIO

from redsm5.checkpoints.store import read_checkpoint, write_checkpoint


class FolderCheckpointIO(CheckpointIO):
    """A folder of safetensors and JSON, whole or not there, with hashes (``redsm5.checkpoints.store``).

    Lightning's own pickles, goes through ``$TMPDIR`` and a move, which across file systems is a plain copy over the
    good file, and flushes nothing.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Save, or raise and leave nothing.

        Args:
            checkpoint: What Lightning gathered.
            path: A new folder.
            storage_options: The facts of the manifest.

        Raises:
            OSError: It could not be written.
        """
        write_checkpoint(Path(path), checkpoint, storage_options or {})

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Load tensors and plain containers only, whatever the caller asks for.

        Raises:
            DamagedCheckpoint: It is not what was written.
        """
        return read_checkpoint(Path(path), device=map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        """Nothing of Lightning's removes a checkpoint here: retention does."""
        raise NotImplementedError
