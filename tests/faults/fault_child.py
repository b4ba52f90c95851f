"""What runs in a child process: the command line with a fault in it.

Imported by a fork server before any test, so that a child does not import for eight seconds; nothing here computes
with torch when it is imported.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path

import accelerate  # noqa: F401 - transformers imports it when it loads weights
from transformers import BertModel  # noqa: F401 - imported when the class is asked for

import redsm5.run.fit
from redsm5 import atomic
from redsm5.callbacks import checkpoint_io, checkpoints
from redsm5.callbacks.metrics_file import MetricsFile
from redsm5.checkpoints import folder, space, store
from redsm5.cli import main
from redsm5.modules.mlm import MLMModule
from redsm5.modules.module import MultiTaskModule
from redsm5.pretraining import tokens
from redsm5.pretraining.snapshots import Snapshots

POINTS = {
    "training": (MultiTaskModule, "training_step"),
    "validation": (MultiTaskModule, "validation_step"),
    "writing tensors": (store, "_write_tensors"),
    "flushing": (store, "sync"),
    "naming a checkpoint": (os, "rename"),
    "removing a checkpoint": (store, "discard"),
    "removing its files": (shutil, "rmtree"),
    "going on": (checkpoint_io, "read_checkpoint"),
    "sweeping": (folder.CheckpointFolder, "sweep"),
    "metrics": (MetricsFile, "on_train_epoch_end"),
    "replacing a file": (os, "replace"),
    "flushing a file": (atomic, "sync"),
    "evaluation": (redsm5.run.fit, "evaluate_part"),
}
"""Functions that a kill hits, by what they do."""

PRETRAINING_POINTS = {
    "masked training": (MLMModule, "training_step"),
    "masked validation": (MLMModule, "validation_step"),
    "writing an encoder": (Snapshots, "_write"),
    "naming an encoder": (os, "rename"),
    "storing tokens": (tokens, "_write"),
}
"""The same of a pretraining."""


def run(args, log, fault=None, journal=None):
    """Run the command line in this process and leave it with its exit code.

    Args:
        args: Of the command.
        log: File for what it prints.
        fault: (point, nth call, "before" or "after" or "half"): where it is killed by SIGKILL; ("fill", folder): where
            the disk is filled up, by a file ``ballast``; "blind" instead of "fill" hides that from the program.
        journal: Folder for notes of what has been flushed to the disk; see ``power_cut``.
    """
    with open(log, "a", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    if journal is not None:
        keep_journal(Path(journal))
    if fault is not None and isinstance(fault[2], str):
        install(*fault)
    elif fault is not None:
        fill_disk(*fault)
    os._exit(main(list(args)))


def install(point, nth, when):
    """Have the nth call of a function kill the process."""
    owner, name = {**POINTS, **PRETRAINING_POINTS}[point]
    real, left = getattr(owner, name), [nth]

    def deadly(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*args, **kwargs)
        if left[0] == 0 and when == "half":
            path = next(Path(arg) for arg in args if isinstance(arg, Path))
            os.truncate(path, path.stat().st_size // 2)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, deadly)
    for module in (checkpoints, folder, store, redsm5.run.fit):  # where it was imported by name
        if getattr(module, name, None) is real:
            setattr(module, name, deadly)


def fill_disk(point, nth, folder, blind):
    """Have the nth call of a function fill the disk of a folder, to the last byte."""
    owner, name = POINTS[point]
    real, left = getattr(owner, name), [nth]

    def filling(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            with suppress(OSError), open(folder / "ballast", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        return real(*args, **kwargs)

    setattr(owner, name, filling)
    checkpoints.room_at = (lambda *_: "plenty") if blind else partial(space.room_at, margin=0)


def keep_journal(folder):
    """Write down every flush and every renaming, with a copy of what a renaming replaces."""
    folder.mkdir(exist_ok=True)
    notes = open(folder / "journal", "a", buffering=1)  # noqa: SIM115 - open until the process is killed
    fsync = os.fsync

    def note(**event):
        notes.write(json.dumps(event) + "\n")

    def noted_fsync(descriptor):
        fsync(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        note(kind="folder" if os.path.isdir(path) else "file", path=path, size=os.fstat(descriptor).st_size)

    def noted(move):
        def moved(source, target, *args, **kwargs):
            source, target = os.path.abspath(source), os.path.abspath(target)
            old = None
            if os.path.isfile(target):
                old = str(folder / f"old-{len(os.listdir(folder))}")
                shutil.copy2(target, old)
            move(source, target, *args, **kwargs)
            note(kind="move", source=source, target=target, old=old)

        return moved

    os.fsync, os.rename, os.replace = noted_fsync, noted(os.rename), noted(os.replace)
