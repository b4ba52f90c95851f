"""Writes the checkpoints of a training, keeps what the policy says, and stops it where it was asked to stop."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from redsm5.callbacks.stop_signals import RunStopped, StopSignals
from redsm5.checkpoints.folder import CheckpointFolder, Entry
from redsm5.checkpoints.manifest import Base, Kind
from redsm5.checkpoints.options import Checkpointing
from redsm5.checkpoints.retention import surplus
from redsm5.checkpoints.space import full_disk, room_at, size_words
from redsm5.checkpoints.store import discard
from redsm5.errors import UserError
from redsm5.logs import event

if TYPE_CHECKING:
    from redsm5.modules.module import MultiTaskModule

OPTIMIZER_COPIES = 2
"""Tensors per weight that an optimizer has at most: Adam's two moments."""


class Checkpoints(Checkpoint):
    """Best weights and resumable states.

    A ``Checkpoint`` of Lightning, so that it comes after all other callbacks: what they have written and counted for
    the epoch is in it. Best weights are written before the state that knows of them, and nothing is removed before
    both are on the disk.

    Args:
        folder: Where they go.
        option: How many are kept.
        monitor: Metric that picks the best epoch.
        mode: Whether it is minimised or maximised.
        signals: Says when to stop.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        option: Checkpointing,
        *,
        monitor: str,
        mode: Literal["min", "max"],
        signals: StopSignals,
    ) -> None:
        self.folder = folder
        self.option = option
        self.monitor = monitor
        self.mode = mode
        self.signals = signals
        self.saves = 0
        self.seconds = 0.0
        self.longest_prune = 0.0
        self.peak_bytes = 0
        self._last_state = 0.0
        self._base: Base | None = None
        self._said_scarce = False

    def state_dict(self) -> dict[str, Any]:
        """Counts so far."""
        return {name: getattr(self, name) for name in ("saves", "seconds", "longest_prune", "peak_bytes")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Name the base, drop weights of epochs that will be done again, and see that there is room."""
        self._last_state = time.monotonic()
        self._base = cast("MultiTaskModule", pl_module).base()
        if not trainer.is_global_zero:
            return
        for entry in self.folder.entries("weights"):
            if entry.manifest.step > trainer.global_step:
                discard(entry.path)
        self._prune()
        self._refuse_too_large(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time to, or where the training is to stop, on the boundary of an optimizer step.

        The last batch is left to the end of the epoch, which is soon.
        """
        if trainer.is_last_batch or (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        stop = self.signals.asked(trainer)
        if self.option.keep_last and (stop or self._is_time(trainer)):
            self._save(trainer, "resume", {})
            self._prune_on(trainer)
        if stop:
            self._stop(trainer, f"in epoch {trainer.current_epoch} after {batch_idx + 1} batches")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the weights where they are among the best, and the state unless the one before is fresh and knows them.

        Without a state, weights that it does not know would be dropped when the training goes on from it.
        """
        values = {name: _finite(trainer.callback_metrics.get(name)) for name in (self.monitor, "val_loss")}
        better = bool(self.option.keep_best) and self._is_among_best(trainer, values)
        if better:
            self._save(trainer, "weights", values)
        due = better or _is_last_epoch(trainer) or self._is_late(trainer, self.option.min_seconds)
        saved = bool(self.option.keep_last) and (due or self._is_time(trainer))
        if saved:
            self._save(trainer, "resume", values)
        self._prune_on(trainer)
        if self.signals.asked(trainer):
            if self.option.keep_last and not saved:
                self._save(trainer, "resume", values)
                self._prune_on(trainer)
            self._stop(trainer, f"after epoch {trainer.current_epoch}")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Prune where a training that had ended is taken up again: no other hook comes after a kill at its end."""
        self._prune_on(trainer)

    def _is_time(self, trainer: pl.Trainer) -> bool:
        minutes = self.option.every_minutes
        return minutes is not None and self._is_late(trainer, 60 * minutes)

    def _is_late(self, trainer: pl.Trainer, seconds: float) -> bool:
        late = time.monotonic() - self._last_state >= seconds
        return bool(trainer.strategy.broadcast(late))

    def _is_among_best(self, trainer: pl.Trainer, values: Mapping[str, float | None]) -> bool:
        wanted = False
        if trainer.is_global_zero:
            ranked = sorted(entry.manifest.rank for entry in self.folder.entries("weights"))[: self.option.keep_best]
            value, loss = values[self.monitor], values["val_loss"]
            as_rank = float("inf") if value is None else value if self.mode == "min" else -value
            rank = (as_rank, float("inf") if loss is None else loss, trainer.current_epoch)
            # As good as the best counts too: retention says how many of those stay.
            wanted = len(ranked) < self.option.keep_best or rank < ranked[-1] or as_rank == ranked[0][0]
        return bool(trainer.strategy.broadcast(wanted))

    def _save(self, trainer: pl.Trainer, kind: Kind, values: Mapping[str, float | None]) -> None:
        started = time.monotonic()
        if trainer.is_global_zero:
            self._make_room(kind)
        epoch, step = trainer.current_epoch, trainer.global_step
        facts = {
            "kind": kind,
            "epoch": epoch,
            "step": step,
            "monitor": self.monitor if values else None,
            "mode": self.mode,
            "value": values.get(self.monitor),
            "val_loss": values.get("val_loss"),
            "base": self._base,
        }
        path = self.folder.new_path(kind, epoch, step)
        self.saves += 1  # before, so that a resumed run knows of it
        try:
            trainer.save_checkpoint(path, weights_only=kind == "weights", storage_options=facts)
        except OSError as error:
            raise UserError(
                f"cannot write the checkpoint {path}: {error.strerror or error}; the one before it is kept: mend the "
                "disk and run the same command again"
            ) from error
        ended = time.monotonic()
        if kind == "resume":
            self._last_state = ended
        event("checkpoint saved", kind=kind, path=str(path), seconds=round(ended - started, 3))
        self.seconds += ended - started
        if trainer.is_global_zero:
            self.peak_bytes = max(self.peak_bytes, self.folder.bytes())

    def _prune_on(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            started = time.monotonic()
            self._prune()
            self.longest_prune = max(self.longest_prune, time.monotonic() - started)

    def _prune(self, *, frugal: bool = False) -> None:
        option = self.option
        gone = surplus(
            self.folder.entries("resume"),
            self.folder.entries("weights"),
            keep_last=min(option.keep_last, 1) if frugal else option.keep_last,
            keep_best=min(option.keep_best, 1) if frugal else option.keep_best,
            max_bytes=0 if frugal else option.max_gb * 1e9,
        )
        for entry in gone:
            discard(entry.path)
            event("checkpoint removed", path=str(entry.path))

    def _make_room(self, kind: Kind) -> None:
        """Where the disk is nearly full, only the newest and the best stay; where even then there is no room, stop."""
        need = max((entry.manifest.bytes for entry in self._all() if entry.manifest.kind == kind), default=0)
        if room_at(self.folder.path, need) == "plenty":
            return
        self._prune(frugal=True)
        left = room_at(self.folder.path, need)
        if left == "none":
            raise full_disk(self.folder.path.parent, need)
        if left == "scarce" and not self._said_scarce:
            self._said_scarce = True
            usage = shutil.disk_usage(self.folder.path)
            print(
                f"the disk of {self.folder.path} is nearly full: {size_words(usage.free)} of {size_words(usage.total)} "
                "are free; only the newest and the best checkpoint are kept",
                flush=True,
            )

    def _refuse_too_large(self, pl_module: pl.LightningModule) -> None:
        """Estimate, before training, what the policy will need; what is there already counts as free."""
        weights = sum(tensor.nbytes for tensor in cast("MultiTaskModule", pl_module).kept_state().values())
        trained = sum(p.nbytes for p in pl_module.parameters() if p.requires_grad)
        state = weights + OPTIMIZER_COPIES * trained
        lasting = self.option.keep_last * state + self.option.keep_best * weights
        # The new ones are written before the old ones go.
        peak = lasting + (state if self.option.keep_last else 0) + (weights if self.option.keep_best else 0)
        if lasting > self.option.max_gb * 1e9:
            raise UserError(
                f"the checkpoints of this run need about {size_words(lasting)}, and checkpoint.max_gb is "
                f"{self.option.max_gb:g}; raise it, lower checkpoint.keep_last, or train fewer weights (model.peft)"
            )
        if room_at(self.folder.path, max(0, peak - self.folder.bytes())) == "none":
            raise full_disk(self.folder.path.parent, peak)

    def _all(self) -> list[Entry]:
        return [*self.folder.entries("resume"), *self.folder.entries("weights")]

    def _stop(self, trainer: pl.Trainer, where: str) -> None:
        kept = "the same command goes on from there" if self.option.keep_last else "no state was kept (keep_last is 0)"
        raise RunStopped(self.signals.received or signal.SIGTERM, f"stopped {where}; {kept}")


def _is_last_epoch(trainer: pl.Trainer) -> bool:
    return trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs


def _finite(value: Tensor | float | None) -> float | None:
    if value is None:
        return None
    number = float(value)
    return number if torch.isfinite(torch.tensor(number)) else None
