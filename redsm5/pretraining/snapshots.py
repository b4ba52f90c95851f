"""The encoders that a stage leaves, one after every epoch."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import lightning.pytorch as pl
from safetensors.torch import save_file
from torch import Tensor

from redsm5 import __version__, hub
from redsm5.callbacks.throughput import Throughput
from redsm5.errors import UserError
from redsm5.inference.export import write_tokenizer
from redsm5.modules.mlm import MLMModule
from redsm5.modules.mlm_head import HEAD_FILE
from redsm5.pretraining.cache import StageFolder, aside
from redsm5.pretraining.recipe import Recipe, file_sha256
from redsm5.pretraining.record import RECORD, Point, StageRecord, read_record


class Snapshots(pl.Callback):
    """Leaves the encoder after every epoch, before the checkpoint that knows of the epoch.

    Args:
        folder: Of the stage.
        recipe: Of the stage.
        throughput: Knows the time.
        texts: Number of texts.
        tokens: Their tokens.
    """

    def __init__(self, folder: StageFolder, recipe: Recipe, throughput: Throughput, *, texts: int, tokens: int) -> None:
        self.folder, self.recipe, self.throughput = folder, recipe, throughput
        self.texts, self.tokens = texts, tokens

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the encoder, unless an earlier run has written it and was killed before its checkpoint."""
        assert isinstance(pl_module, MLMModule)
        epochs = trainer.current_epoch + 1
        if self.folder.has(epochs):
            return
        try:
            with aside(self.folder.epoch(epochs)) as made:
                self._write(made, pl_module, epochs)
        except OSError as error:
            raise UserError(f"cannot write {self.folder.epoch(epochs)}: {error.strerror or error}") from error

    def _write(self, made: Path, module: MLMModule, epochs: int) -> None:
        option, data = module.encoder_option, module.datamodule
        base = hub.resolve(option.id, option.revision, allow=hub.CONFIG)
        encoder = module.trained_encoder()
        _save(encoder.model.state_dict(), made / "model.safetensors")
        # As it came: dropout is the business of a stage, and the fit has its own.
        shutil.copyfile(base / "config.json", made / "config.json")
        _save(module.network.head.state_dict(), made / HEAD_FILE)
        write_tokenizer(data.tokenizer, made)
        before = read_record(base)
        record = StageRecord(
            redsm5=__version__,
            created=datetime.now(UTC),
            kind=self.recipe.kind,
            key=self.recipe.key,
            epochs=epochs,
            settings=self.recipe.settings,
            encoder=before.encoder if before else option.id,
            revision=before.revision if before else hub.resolved_revision(option.id, option.revision),
            before=before,
            pretrained_head=module.network.pretrained_head,
            texts=self.texts,
            tokens=self.tokens,
            rows=len(data.training_rows),
            held_out_rows=len(data.held_out_rows),
            curve=[Point(epoch=i, loss=loss, perplexity=_perplexity(loss)) for i, loss in enumerate(module.curve)],
            seconds=self.throughput.fit_seconds,
            weights_sha256=file_sha256(made / "model.safetensors"),
        )
        (made / RECORD).write_text(record.model_dump_json(indent=2) + "\n", encoding="utf-8")


def _save(state: Mapping[str, Tensor], path: Path) -> None:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _perplexity(loss: float) -> float:
    return math.exp(min(loss, 700.0))
