"""Criteria matching and evidence binding on clinical posts with pretrained encoders."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from redsm5.inference.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(path: str | Path, *, device: str = "auto") -> Predictor:
    """A trained model: ``redsm5.load("runs/fit").predict(["..."])``.

    Args:
        path: An exported model, or the folder of a finished run; its corpus is not needed. An
            exported model needs nothing else; a run needs its encoder's tokenizer.
        device: ``auto`` (CUDA where there is a GPU), or a device of torch such as ``cpu`` or ``cuda:1``.

    Raises:
        UserError: It holds no model, a file is damaged, or the device is not there.
    """
    from redsm5.inference.load import load

    return load(path, device=device)
