"""One arm of ``tune_batch.py``, in a process of its own."""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

from workload import Workload

from redsm5.batch_search.child import ProbeSpec
from redsm5.batch_search.limits import GB, memory
from redsm5.batch_search.one import find
from redsm5.batch_search.request import Budget
from redsm5.batch_search.session import ProbeSession
from redsm5.datamodules.batching import BatchSize
from redsm5.datamodules.datamodule import ReDSM5DataModule
from redsm5.run.lightning_cli import make_cli

MARGIN = 0.05
MOST_WINDOWS = 8


class SizedData(ReDSM5DataModule):
    """A DataModule with the attribute that Lightning's Tuner sets."""

    @property
    def batch_size(self) -> int:
        """Posts of a training batch."""
        assert isinstance(self.batching, BatchSize)
        return self.batching.train

    @batch_size.setter
    def batch_size(self, size: int) -> None:
        self.batching = BatchSize(train=size, eval=1)


def main() -> None:
    args = _arguments()
    work = Workload(Path(args.work))
    options = (
        f"--model.encoder.id={work.encoder}", f"--data.path={work.corpus}", f"--data.split_file={work.split}",
        f"--data.max_length={args.length}", "--data.stride=32", f"--data.max_windows={MOST_WINDOWS}",
        "--model.encoder.hidden_dropout=0", "--model.encoder.attention_dropout=0", "--runtime.threads=1",
        f"--data.cache_dir={work.folder / 'cache'}",
    )  # fmt: skip
    started = time.monotonic()
    arm, _, plain = args.arm.rpartition(" ")
    if arm:
        examples, probes = lightning(options, plain, args.memory_gb)
    else:
        file = work.folder / "calibration.json"
        file.unlink(missing_ok=True)
        found = find(options, Budget(args.memory_gb, MARGIN, plain), file)
        examples, probes = found.batches.train, found.entry.probes
    seconds = time.monotonic() - started
    spec = ProbeSpec(
        args=options, criteria=None, max_length=args.length, encoder=str(work.encoder), precision="none", on_cpu=False,
        accumulates=False, memory_gb=args.memory_gb, margin=0.0, limited=True,
    )  # fmt: skip
    with ProbeSession(spec) as session:
        holds = session.probe(1, 1).fits and session.probe(max(1, examples) * MOST_WINDOWS, 1).fits
    result = {"examples": examples, "probes": probes, "seconds": seconds, "holds": holds}
    Path(args.result).write_text(json.dumps(result), encoding="utf-8")


def lightning(options: tuple[str, ...], mode: str, memory_gb: float) -> tuple[int, int]:
    """Size and number of probes of Lightning's Tuner at its defaults, in this process, under the same limit."""
    from lightning.pytorch.tuner import batch_size_scaling
    from lightning.pytorch.tuner.tuning import Tuner

    cli = make_cli([*options, "--trainer.max_epochs=1"], command="fit", data_class=SizedData)
    # It validates on a few batches only, of which there are no figures.
    cli.model.on_validation_epoch_end = lambda: None  # type: ignore[method-assign]
    trainer = cli.make_trainer(enable_progress_bar=False, enable_checkpointing=False)
    probes = 0
    run_once = batch_size_scaling._try_loop_run

    def counted(*args: Any) -> None:
        nonlocal probes
        probes += 1
        run_once(*args)

    memory().limit(round(memory_gb * GB))
    with mock.patch.object(batch_size_scaling, "_try_loop_run", counted):
        try:
            size = Tuner(trainer).scale_batch_size(
                cli.model, datamodule=cli.datamodule, mode=mode, batch_arg_name="batch_size"
            )
        except (RuntimeError, MemoryError) as error:
            print(f"Lightning's Tuner ended with {type(error).__name__}: {error}", file=sys.stderr)
            size = 0
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    return size or 0, probes


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("arm", "work", "result"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--length", type=int, required=True)
    parser.add_argument("--memory-gb", type=float, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
