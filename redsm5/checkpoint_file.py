"""Reading a checkpoint: tensors and plain containers, and nothing that is executed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from redsm5.errors import UserError


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """What a checkpoint holds.

    Args:
        path: The file.
        map_location: Where its tensors go, as ``torch.load`` takes it.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: The file is damaged, or holds anything but tensors and plain containers.
    """
    import torch

    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise UserError(f"the checkpoint {path} is damaged or none of ours; fit again with --overwrite true") from error
    return checkpoint
