"""One arm of ``precision.py``, in a process of its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from epoch import Epoch, fit_on_the_clock
from measure import write_json
from workload import MAX_LENGTH, Workload


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("work", "result", "precision"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("batch", "epochs"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    work = Workload(Path(args.work))
    options = {
        "run_dir": work.folder / f"run-{args.precision}",
        "model.encoder.id": work.encoder,
        "model.encoder.hidden_dropout": 0.0,
        "model.encoder.attention_dropout": 0.0,
        "data.path": work.corpus,
        "data.split_file": work.split,
        "data.max_length": MAX_LENGTH,
        "data.max_windows": 1,
        "data.batching": "BatchSize",
        "data.batching.train": args.batch,
        "data.cache_dir": work.folder / "cache",
        "runtime.precision": args.precision,
        "trainer.max_epochs": args.epochs,
    }
    measured = Epoch()
    fit_on_the_clock(options, measured)
    write_json(args.result, measured.figures())


if __name__ == "__main__":
    main()
