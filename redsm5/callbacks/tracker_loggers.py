"""The loggers of Lightning as trackers: how each is opened, anew or where it was left."""

from __future__ import annotations

import logging
import os
import uuid
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from lightning.pytorch.loggers import Logger

from redsm5.callbacks.trackers import Trackers

MLFLOW_FILE = "mlflow.db"


class Opener(ABC):
    """Opens a tracker.

    Args:
        option: What was configured.
        folder: Of the run.
    """

    can_purge: ClassVar[bool] = False
    """Whether opening it from a step hides what it has got from there on."""

    def __init__(self, option: Trackers, folder: Path) -> None:
        self.option = option
        self.folder = folder

    @property
    @abstractmethod
    def where(self) -> str:
        """The place that it sends to: another place has got nothing yet."""

    @abstractmethod
    def open(self, known: str | None, purge_step: int | None) -> tuple[Logger, str]:
        """Open it.

        Args:
            known: The id under which the run is known there.
            purge_step: Of the first step that is not valid any more.

        Returns:
            The logger, and the id.
        """

    def close(self, logger: Logger, status: str) -> None:
        """Close it.

        Args:
            logger: From ``open``.
            status: How the run has ended: success or failed.
        """
        logger.finalize(status)


class TensorBoard(Opener):
    """Event files in the folder of the run."""

    can_purge = True

    @property
    def where(self) -> str:
        """The folder of the files, which moves with the run."""
        return "tensorboard"

    def open(self, known: str | None, purge_step: int | None) -> tuple[Logger, str]:
        """Begin another event file."""
        from lightning.pytorch.loggers import TensorBoardLogger

        logger = TensorBoardLogger(
            self.folder, name=self.where, version="", default_hp_metric=False, purge_step=purge_step
        )
        return logger, self.where


class MLflow(Opener):
    """A run of an MLflow experiment; by default in a SQLite file that the runs of a folder share."""

    @property
    def where(self) -> str:
        """The tracking URI, or the file beside the folder, wherever both were moved to."""
        return self.option.mlflow_uri or MLFLOW_FILE

    def open(self, known: str | None, purge_step: int | None) -> tuple[Logger, str]:
        """Open the run, or begin one."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        # A server that is down is asked again after the next epoch, not for minutes on end.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        from lightning.pytorch.loggers import MLFlowLogger

        for name in ("mlflow", "alembic", "urllib3"):
            logging.getLogger(name).setLevel(logging.ERROR)
        beside = self.folder.parent
        logger = MLFlowLogger(
            self.option.project,
            run_name=self.folder.name,
            tracking_uri=self.option.mlflow_uri or f"sqlite:///{beside / MLFLOW_FILE}",
            tags={"run_dir": str(self.folder)},
            run_id=known,
            artifact_location=None if self.option.mlflow_uri else (beside / "mlruns").as_uri(),
        )
        if known is not None:
            logger.experiment.update_run(known, status="RUNNING")
        found = logger.run_id
        assert found is not None
        return logger, found


class WandB(Opener):
    """A run of a W&B project; nothing but config and metrics goes there."""

    @property
    def where(self) -> str:
        """Files in the folder of the run, or the project."""
        return "offline" if self.option.wandb_offline else self.option.project

    def open(self, known: str | None, purge_step: int | None) -> tuple[Logger, str]:
        """Open the run, or begin one."""
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        found = known or uuid.uuid4().hex[:12]
        # What the terminal shows, the code and the git state are not its business.
        settings = wandb.Settings(console="off", save_code=False, disable_code=True, disable_git=True, silent=True)
        logger = WandbLogger(
            name=self.folder.name,
            save_dir=self.folder,
            version=found,
            offline=self.option.wandb_offline,
            project=self.option.project,
            settings=settings,
        )
        return logger, found

    def close(self, logger: Logger, status: str) -> None:
        """End the run: Lightning would leave it to the end of the process, and take it for the next run."""
        from lightning.pytorch.loggers import WandbLogger

        assert isinstance(logger, WandbLogger)
        logger.experiment.finish(exit_code=0 if status == "success" else 1)


OPENERS: dict[str, type[Opener]] = {"tensorboard": TensorBoard, "mlflow": MLflow, "wandb": WandB}
"""By the field of the option."""
