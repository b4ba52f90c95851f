"""The process of the probes: builds the model of a config once, then tries sizes until it is told to end, or fails."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Literal, cast

import torch

from redsm5.batch_search.limits import GB, Memory, memory
from redsm5.batch_search.peaks import Reading
from redsm5.batch_search.phases import PhasePeaks
from redsm5.batch_search.probe_data import ProbeData, write_filler
from redsm5.catalog import CATALOG
from redsm5.datamodules.criteria import load_criteria
from redsm5.encoder_check.snapshot import own_cache
from redsm5.errors import UserError
from redsm5.run.lightning_cli import make_cli
from redsm5.run.memory import is_out_of_memory
from redsm5.run.quiet import quiet_libraries

if TYPE_CHECKING:
    from redsm5.datamodules.corpus import Criterion
    from redsm5.run.lightning_cli import ReDSM5CLI

PREFIX = "redsm5-probe-"
NEVER_READ = ("data.split_file", "data.folds", "data.fold", "data.posts", "data.annotations", "data.dataset_revision")
"""Keys about a corpus that is not the one of the probes."""


@dataclass(frozen=True)
class ProbeSpec:
    """What is probed; can be pickled.

    Attributes:
        args: Config options, as on the command line.
        criteria: The criteria file of the run; None for the nine symptoms.
        max_length: Tokens of a window.
        encoder: Its id.
        precision: ``runtime.precision``.
        on_cpu: Whether the training is to run on the CPU, whatever else there is.
        accumulates: Whether gradients of one batch are there while the next one passes.
        memory_gb: What there is at most, in 2^30 bytes; None for all of the device.
        margin: Share of it that is to stay free.
        limited: Whether more than that fails; without, a probe only measures.
        folder: Where the process makes a folder for its files.
    """

    args: tuple[str, ...]
    criteria: str | None
    max_length: int
    encoder: str
    precision: Literal["none", "bf16", "fp16"]
    on_cpu: bool
    accumulates: bool
    memory_gb: float | None
    margin: float
    limited: bool
    folder: str = ""


@dataclass(frozen=True)
class Ready:
    """What the process says when the model is built.

    Attributes:
        device: Its name.
        total: Bytes there are, or that were asked for.
        limit: Bytes that a probe may use.
    """

    device: str
    total: int
    limit: int


def serve(spec: ProbeSpec, pipe: Connection) -> None:
    """Say which folder is ours, build, say ``Ready``, answer pairs of sizes with a ``Reading`` until the pipe closes.

    The folder is removed by this process if the other end is gone, and by the other end if this process is. A
    ``UserError`` is sent instead, if the config is not usable. After a probe that did not fit the process ends: what an
    allocator looks like then is not what a new run meets.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent ends this one
    asked: SimpleQueue[tuple[int, int]] = SimpleQueue()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=spec.folder))
    threading.Thread(target=_listen, args=(pipe, asked, folder), daemon=True).start()
    try:
        pipe.send(folder)
        prober = _Prober(spec, folder)
        pipe.send(prober.ready)
        while True:
            reading = prober.probe(*asked.get())
            pipe.send(reading)
            if not reading.fits:
                return
    except UserError as error:
        pipe.send(error)


def _listen(pipe: Connection, asked: SimpleQueue[tuple[int, int]], folder: Path) -> None:
    """Hand on what is asked; when the parent is gone, however it went, leave nothing behind and end."""
    try:
        while True:
            asked.put(pipe.recv())
    except (EOFError, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)


class _Prober:
    """The model of a config, and what it takes to try sizes."""

    def __init__(self, spec: ProbeSpec, folder: Path) -> None:
        quiet_libraries()
        self.spec = spec
        self.memory: Memory = memory(on_cpu=spec.on_cpu)
        total = self.memory.available()
        if spec.memory_gb is not None:
            total = min(total, round(spec.memory_gb * GB)) if spec.limited else round(spec.memory_gb * GB)
        limit = round(total * (1 - spec.margin))
        self.ready = Ready(self.memory.name, total, limit)
        criteria = load_criteria(spec.criteria)
        texts = write_filler(folder / "corpus", criteria, spec.max_length)
        with _files_of(spec.encoder, texts, criteria, folder):
            self.cli = _cli(spec, folder)
            cast(ProbeData, self.cli.datamodule).setup()
        self._folder = folder  # of which Lightning wants a name
        shutil.rmtree(folder)  # everything is read, and the tokens stay mapped

    def probe(self, windows: int, eval_windows: int) -> Reading:
        """Two optimizer steps, the second of the full size, and one validation batch."""
        data, model = cast(ProbeData, self.cli.datamodule), self.cli.model
        data.train_windows = _sizes(windows, self.memory.repeats, accumulates=self.spec.accumulates)
        data.eval_windows = eval_windows
        phases = PhasePeaks(self.memory, self.ready.limit if self.spec.limited else None)
        trainer = self.cli.make_trainer(
            phases,
            enable_checkpointing=False,
            enable_progress_bar=False,
            accumulate_grad_batches=2 if self.spec.accumulates else 1,
            default_root_dir=str(self._folder),
        )
        plugin: Any = trainer.precision_plugin
        if getattr(plugin, "scaler", None) is not None:
            # At the usual scale the first gradients overflow, the step is skipped, and there are no optimizer states.
            plugin.scaler = torch.amp.GradScaler(init_scale=1.0)
        started = time.monotonic()
        failure = None
        try:
            trainer.fit(model, datamodule=data)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            failure = f"{type(error).__name__}: {(str(error).strip() or 'no memory').splitlines()[0][:200]}"
        seconds = time.monotonic() - started
        if failure is None:
            model.zero_grad(set_to_none=True)
            trainer.strategy.optimizers = []
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        peaks = None if failure else phases.peaks
        fits = failure is None
        return Reading(windows, eval_windows, fits, peaks, seconds, failure)


def _sizes(windows: int, repeats: int, *, accumulates: bool) -> tuple[int, ...]:
    """Windows of each batch: small ones until optimizer states (and gradients) are there, then the full size."""
    full = (windows,) * repeats
    small = (4 if accumulates else 1 + repeats) - repeats
    return (1,) * small + full


def _cli(spec: ProbeSpec, folder: Path) -> ReDSM5CLI:
    ours = {
        "model.encoder.random_weights": "true",
        "data.path": str(folder / "corpus"),
        "data.criteria": str(folder / "corpus" / "criteria.json"),
        "data.cache_dir": str(folder / "tokens"),
        "data.max_windows": "1",
        "data.workers": "0",
        "data.fractions": "[0.6,0.2,0.2]",
        "trainer.devices": "1",
        "trainer.num_nodes": "1",
        "trainer.strategy": "auto",
        **dict.fromkeys(NEVER_READ, "null"),
    }
    if is_stood_in(spec.encoder):
        ours["model.encoder.revision"] = "null"  # of the config and the tokenizer that we write
    args = [*spec.args, *(f"--{key}={value}" for key, value in ours.items())]
    return make_cli(args, command="tune-batch", data_class=ProbeData)


def is_stood_in(encoder: str) -> bool:
    """Whether config and tokenizer are written for the probes: those of the catalog are known without a download."""
    return encoder in CATALOG and not Path(encoder).is_dir()


@contextmanager
def _files_of(encoder: str, texts: list[str], criteria: tuple[Criterion, ...], folder: Path) -> Iterator[None]:
    """Config and tokenizer of an encoder of the catalog without a download; of any other those that it has."""
    if not is_stood_in(encoder):
        yield
        return
    words = [text for criterion in criteria for text in (criterion.title, criterion.text)]
    with own_cache(CATALOG[encoder], [*texts[:4], *words], folder / "hub"):
        yield
