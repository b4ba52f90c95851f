"""Where metrics go beside ``metrics.csv``. Torch-free until built."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from redsm5.errors import UserError

if TYPE_CHECKING:
    from redsm5.callbacks.tracking import Tracking

PACKAGES = {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy"), "wandb": ("wandb",)}
"""What each tracker imports; the extras of the same names install it."""


@dataclass(frozen=True)
class Trackers:
    """Which trackers get the metrics and the config; one that cannot be reached never stops a training."""

    tensorboard: bool = False
    """Write event files into the folder tensorboard of the run"""
    mlflow: bool = False
    """Log to MLflow"""
    wandb: bool = False
    """Log to Weights & Biases"""
    project: str = "redsm5"
    """Name of the MLflow experiment and of the W&B project"""
    mlflow_uri: str | None = None
    """MLflow's tracking URI (default: the file mlflow.db beside the folder of the run)"""
    wandb_offline: bool = True
    """Keep W&B's data in the folder wandb of the run, for `wandb sync`, instead of sending it"""

    def __post_init__(self) -> None:
        """Refuse an empty name, and a password that would stand in every report."""
        if not self.project.strip():
            raise ValueError("project is empty; give the name of an experiment")
        if self.mlflow_uri is not None and "@" in urlsplit(self.mlflow_uri).netloc:
            raise ValueError(
                "mlflow_uri names a user or password, which reports would show; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
            )

    @property
    def chosen(self) -> list[str]:
        """The trackers that are on."""
        return [name for name in PACKAGES if getattr(self, name)]

    def refuse_missing(self) -> None:
        """See that the packages of the chosen trackers are there.

        Raises:
            UserError: One is not.
        """
        for name in self.chosen:
            for package in PACKAGES[name]:
                if importlib.util.find_spec(package) is None:
                    raise UserError(
                        f"trackers.{name} needs the package {package}; pip install 'redsm5[{name}]', "
                        f"or --trackers.{name} false"
                    )

    def build(self, folder: Path, metrics: Path, parameters: dict[str, Any]) -> Tracking:
        """The callback that sends.

        Args:
            folder: Of the run.
            metrics: Its ``metrics.csv``.
            parameters: The resolved config by dotted key.
        """
        from redsm5.callbacks.tracker_loggers import OPENERS
        from redsm5.callbacks.tracking import Tracking

        openers = {name: OPENERS[name](self, folder) for name in self.chosen}
        return Tracking(openers, metrics, folder / "trackers.json", parameters)
