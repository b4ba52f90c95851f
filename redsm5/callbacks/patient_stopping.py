"""Lightning's early stopping, which also ends a training again that goes on from after its end."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping


class PatientStopping(EarlyStopping):
    """Lightning's; it forgets, when a checkpoint is loaded, that the training of it had been stopped."""

    @property
    def has_stopped(self) -> bool:
        """Whether patience is at its end."""
        return self.wait_count >= self.patience

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Look at the state that is about to be loaded."""
        state = checkpoint["callbacks"].get(self.state_key)
        if state is not None and state["wait_count"] >= state["patience"]:
            trainer.should_stop = True
