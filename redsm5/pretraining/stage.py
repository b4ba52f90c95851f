"""Makes a stage: trains with Lightning, and leaves an encoder per epoch."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import lightning.pytorch as pl

from redsm5.callbacks.checkpoints import Checkpoints
from redsm5.callbacks.learning_rates import LearningRates
from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.callbacks.progress import progress
from redsm5.callbacks.random_state import RandomState
from redsm5.callbacks.run_events import RunEvents
from redsm5.callbacks.stop_signals import StopSignals
from redsm5.callbacks.throughput import Throughput
from redsm5.catalog import facts
from redsm5.checkpoints.options import Checkpointing
from redsm5.datamodules.tokenizer import load_tokenizer
from redsm5.errors import OutOfMemory, UserError
from redsm5.modules.encoder import Encoder
from redsm5.modules.mlm import MLMModule
from redsm5.optim.optimizers import AdamW
from redsm5.peft.methods import LoRA, NoPEFT
from redsm5.pretraining.cache import TEXTS, StageFolder
from redsm5.pretraining.data import MaskedTexts, RowSettings
from redsm5.pretraining.options import MOST_EPOCHS
from redsm5.pretraining.packing import PACKABLE
from redsm5.pretraining.recipe import Recipe
from redsm5.pretraining.snapshots import Snapshots
from redsm5.pretraining.texts import Text
from redsm5.pretraining.tokens import TextTokens, stored_tokens
from redsm5.run.evaluation import interruptible, plugins
from redsm5.run.memory import is_out_of_memory

if TYPE_CHECKING:
    from redsm5.run.trainer_options import TrainerOptions

CLIP = 1.0
"""Largest norm of the gradient."""
MONITOR: Literal["val_loss"] = "val_loss"


@dataclass(frozen=True)
class Work:
    """What a stage needs beside its recipe.

    Attributes:
        encoder: Where it starts.
        texts: Gives the texts.
        trainer: How Lightning trains; a stage runs on one device.
        precision: Lightning's name of the precision.
        workers: Processes that build batches.
        checkpoint: Whether checkpoints are written within an epoch, and the limit on them.
    """

    encoder: Encoder
    texts: Callable[[], Iterable[Text]]
    trainer: TrainerOptions
    precision: str
    workers: int | None
    checkpoint: Checkpointing


def make_stage(folder: StageFolder, recipe: Recipe, epochs: int, work: Work) -> None:
    """Train to a number of epochs, from where an earlier run has stopped, and leave an encoder after each.

    Args:
        folder: Of the stage; this process holds its lock.
        recipe: What decides the weights.
        epochs: How many.
        work: The rest.

    Raises:
        RunStopped: It was asked to stop, and its state is saved.
        OutOfMemory: Memory was not enough.
        UserError: The texts, the encoder or the settings are not usable, or the disk is full.
    """
    pl.seed_everything(recipe.seed, verbose=False)
    encoder, throughput = work.encoder, Throughput()
    tokens, data = _data(folder, recipe, work)
    module = MLMModule(
        encoder,
        AdamW(lr=recipe.lr, head_lr=recipe.head_lr, peft_lr=recipe.lora_lr, weight_decay=recipe.weight_decay),
        NoPEFT() if recipe.lora_r is None else LoRA(r=recipe.lora_r, alpha=2.0 * recipe.lora_r, targets="all"),
        recipe.warmup,
    )
    snapshots = Snapshots(folder, recipe, throughput, texts=len(tokens.lengths), tokens=len(tokens.ids))
    resume_from = _resume_from(folder)
    trainer = _trainer(folder, recipe, epochs, work, [throughput, snapshots])
    print(
        f"{recipe.kind.upper()}: {len(tokens.lengths):,} texts, {len(tokens.ids):,} tokens, "
        f"{len(data.training_rows):,} rows to train on and {len(data.held_out_rows):,} held out"
        + (f"; going on from {resume_from}" if resume_from else ""),
        flush=True,
    )
    try:
        with interruptible():
            trainer.fit(module, datamodule=data, ckpt_path=resume_from, weights_only=True)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            "out of memory: lower pretraining.batch_tokens and raise pretraining.accumulate by as much, lower "
            "pretraining.max_length, or set pretraining.lora_r"
        ) from error
    if epochs == MOST_EPOCHS[recipe.kind]:  # nothing will go on from its state
        folder.kept.clear()


def _data(folder: StageFolder, recipe: Recipe, work: Work) -> tuple[TextTokens, MaskedTexts]:
    """The tokens of the texts, stored now unless they are there, and the batches of them."""
    encoder = work.encoder
    known = facts(encoder.id, encoder.revision)
    if recipe.max_length > known.context:
        raise UserError(
            f"pretraining.max_length is {recipe.max_length}; {encoder.id} reads at most {known.context} tokens"
        )
    tokenizer = load_tokenizer(encoder.id, encoder.revision)
    store = folder.path.parent / f"{TEXTS}{recipe.texts[:16]}-{recipe.tokenizer[:16]}"
    tokens = stored_tokens(store, work.texts(), tokenizer)
    StageFolder(store).used_by()
    settings = RowSettings(
        style=recipe.masking_style,
        probability=recipe.probability,
        max_length=recipe.max_length,
        join=joins(recipe, known.family, encoder.id),
        batch_tokens=recipe.batch_tokens,
        held_out=recipe.held_out,
        seed=recipe.seed,
    )
    return tokens, MaskedTexts(tokens, tokenizer, settings, work.workers)


def _trainer(folder: StageFolder, recipe: Recipe, epochs: int, work: Work, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Lightning's Trainer, with the callbacks and checkpoints of a fit."""
    signals = StopSignals()
    option = replace(work.checkpoint, keep_last=1, keep_best=0, min_seconds=0)  # each epoch leaves an encoder
    alone = replace(
        work.trainer,
        devices=1,
        num_nodes=1,
        strategy="auto",
        max_epochs=epochs,
        accumulate_grad_batches=recipe.accumulate,
        gradient_clip_val=CLIP,
        gradient_clip_algorithm="norm",
    )
    return alone.build(
        callbacks=[
            *callbacks,
            RandomState(),
            LearningRates(),
            MetricsFile(folder.metrics),
            signals,
            Checkpoints(folder.kept, option, monitor=MONITOR, mode="min", signals=signals),
            RunEvents(MONITOR),
            *progress(MONITOR),
        ],
        precision=work.precision,
        num_sanity_val_steps=-1,  # all held-out texts, before the first step
        default_root_dir=str(folder.path),
        plugins=plugins(),
    )


def joins(recipe: Recipe, family: str, id: str) -> bool:
    """Whether several texts share a row.

    Args:
        recipe: Of the stage.
        family: Of the encoder.
        id: The encoder in messages.

    Raises:
        UserError: It is asked for, and the family cannot keep texts apart.
    """
    if recipe.packing == "auto":
        return recipe.kind == "dapt" and family in PACKABLE
    if recipe.packing == "packed" and family not in PACKABLE:
        raise UserError(
            f"pretraining.packing is packed, but the attention of {family}, the family of {id}, cannot keep the texts "
            "of a row apart; use buckets"
        )
    return recipe.packing == "packed"


def _resume_from(folder: StageFolder) -> Path | None:
    """The checkpoint to go on from; None for a start."""
    folder.kept.path.mkdir(parents=True, exist_ok=True)
    folder.kept.sweep()
    for left in folder.path.glob(".epoch-*.tmp"):
        shutil.rmtree(left, ignore_errors=True)
    last, sentences = folder.kept.take_last()
    for sentence in sentences:
        print(sentence, file=sys.stderr, flush=True)
    if last is None:
        return None
    # A checkpoint within an epoch has no monitor.
    done = last.manifest.epoch + (last.manifest.monitor is not None)
    if not all(folder.has(epoch) for epoch in range(1, done + 1)):  # someone has removed an encoder: from the start
        folder.kept.clear()
        return None
    return last.path
