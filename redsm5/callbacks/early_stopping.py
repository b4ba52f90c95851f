"""When training stops and which epoch is best. Torch-free until built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from redsm5.callbacks.patient_stopping import PatientStopping

Monitor = Literal[
    "val_f1_macro",
    "val_f1_micro",
    "val_f1_weighted",
    "val_exact_match",
    "val_auprc_macro",
    "val_evidence_exact_match",
    "val_evidence_token_f1",
    "val_evidence_char_f1",
    "val_evidence_iou_f1",
    "val_evidence_sentence_f1",
    "val_hit_at_1",
    "val_mrr",
    "val_null_accuracy",
    "val_hard_negative_rate",
    "val_loss",
]
"""Metrics that decide which epoch is best: each is logged after every epoch."""


@dataclass(frozen=True)
class EarlyStopping:
    """When training stops, and which epoch is the best one."""

    monitor: Monitor = "val_f1_macro"
    """Logged metric that picks the best epoch; val_loss and val_hard_negative_rate are minimised, others maximised"""
    patience: int = 20
    """Epochs without improvement before training stops"""
    min_delta: float = 0.001
    """Smallest change that counts as an improvement"""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if self.patience < 1:
            raise ValueError(f"patience is {self.patience}; it must be at least 1")
        if self.min_delta < 0:
            raise ValueError(f"min_delta is {self.min_delta}; it must be at least 0")

    @property
    def mode(self) -> Literal["min", "max"]:
        """Whether the monitor is minimised or maximised."""
        return "min" if self.monitor in ("val_loss", "val_hard_negative_rate") else "max"

    def build(self) -> PatientStopping:
        """The callback that stops training."""
        from redsm5.callbacks.patient_stopping import PatientStopping

        return PatientStopping(
            monitor=self.monitor,
            mode=self.mode,
            patience=self.patience,
            min_delta=self.min_delta,
            check_on_train_epoch_end=False,
        )
