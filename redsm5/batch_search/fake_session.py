"""Probes on fake tensors: how much a GPU that is not here would need, counted instead of measured."""

from __future__ import annotations

import time
from typing import Self

from redsm5.batch_search.child import ProbeSpec, Ready
from redsm5.batch_search.fake import FakeProbe
from redsm5.batch_search.limits import GB
from redsm5.batch_search.peaks import Peaks, Reading
from redsm5.datamodules.criteria import load_criteria
from redsm5.datamodules.formats import BinaryPairs
from redsm5.run.lightning_cli import make_cli

CONTEXT_GB = 0.75
"""A CUDA context with the kernels and workspaces of its libraries: 0.3 to 0.8 GB, which no tensor shows."""


class FakeSession:
    """Answers as a ``ProbeSession`` does; runs in this process.

    Args:
        spec: What is probed.
    """

    def __init__(self, spec: ProbeSpec) -> None:
        self._spec = spec
        # This machine may have no GPU, and then parsing refuses fp16: the probe is told the precision itself.
        ours = ["--model.encoder.random_weights=true", "--runtime.precision=none", "--trainer.accelerator=cpu"]
        cli = make_cli([*spec.args, *ours, "--data.path=none"], command="tune-batch")
        pairs = isinstance(cli.datamodule.format, BinaryPairs)
        self._probe = FakeProbe(
            cli.model,
            n_outputs=1 if pairs else len(load_criteria(spec.criteria)),
            max_length=spec.max_length,
            precision=spec.precision,
            accumulates=spec.accumulates,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is left."""

    def ready(self) -> Ready:
        """The card that is planned for."""
        assert self._spec.memory_gb is not None
        total = round(self._spec.memory_gb * GB)
        return Ready("GPU", total, round(total * (1 - self._spec.margin)))

    def probe(self, windows: int, eval_windows: int) -> Reading:
        """Count a training batch and an evaluation batch."""
        started = time.monotonic()
        found, context = self._probe(windows, eval_windows), round(CONTEXT_GB * GB)
        peaks = Peaks(found.passes + context, found.step + context, found.evaluation + context)
        fits = peaks.largest <= self.ready().limit or not self._spec.limited
        return Reading(windows, eval_windows, fits, peaks, time.monotonic() - started)
