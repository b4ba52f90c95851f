"""The model in a folder, ready to predict."""

from __future__ import annotations

from pathlib import Path

from redsm5.inference.ensemble_predictor import EnsemblePredictor, is_ensemble
from redsm5.inference.model_files import read_model
from redsm5.inference.network_predictor import NetworkPredictor
from redsm5.inference.predictor import BATCH_TOKENS, Predictor


def load(path: str | Path, *, device: str = "auto", batch_tokens: int = BATCH_TOKENS) -> Predictor:
    """The model of an exported folder, of an ensemble, or of a finished run.

    Args:
        path: The folder.
        device: ``auto`` (CUDA where there is a GPU), or a device of torch such as ``cpu`` or ``cuda:1``.
        batch_tokens: Padded tokens per batch: what memory allows.

    Raises:
        UserError: It holds no model, a file is damaged, or the device is not there.
    """
    folder = Path(path).expanduser()
    if is_ensemble(folder):
        return EnsemblePredictor(folder, device=device, batch_tokens=batch_tokens)
    return NetworkPredictor(read_model(path), device=device, batch_tokens=batch_tokens)
