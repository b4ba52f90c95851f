"""The arms of ``storage.py``, each in its own process."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ModelCheckpoint
from measure import write_json
from workload import Workload

from redsm5.cli import build_cli
from redsm5.modules.module import MultiTaskModule
from redsm5.run.fit import train
from redsm5.run.folder import RunFolder
from redsm5.run.lightning_cli import ReDSM5CLI, resolved_yaml

METHODS = {"full": {}, "lora": {"model.peft": "LoRA", "model.peft.r": 8}}


class TimedCheckpoint(ModelCheckpoint):
    """Lightning's own, on the clock."""

    seconds = 0.0

    def _save_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        started = time.monotonic()
        super()._save_checkpoint(trainer, filepath)
        self.seconds += time.monotonic() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("arm", "method", "work", "result"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--epochs", type=int, required=True)
    args = parser.parse_args()
    work = Workload(Path(args.work))
    options = {
        "model.encoder.id": work.encoder, "data.path": work.corpus, "data.split_file": work.split,
        "data.max_length": 64, "data.stride": 16, "data.max_windows": 1, "data.batching.train": 16,
        "data.cache_dir": work.folder / "cache", "run_dir": work.folder / "run", "runtime.threads": 1,
        "trainer.max_epochs": args.epochs, "early_stopping.patience": args.epochs, **METHODS[args.method],
    }  # fmt: skip
    cli = build_cli([f"--{key}={value}" for key, value in options.items()], command="fit")
    folder = RunFolder(work.folder / "run")
    folder.prepare(resolved_yaml(cli), fresh=True)
    measured = ours(cli, folder) if args.arm == "ours" else every_epoch(cli, folder)
    write_json(args.result, {**measured, "end": folder.kept.bytes()})


def ours(cli: ReDSM5CLI, folder: RunFolder) -> dict[str, Any]:
    """As ``redsm5 fit`` keeps them."""
    written = train(cli, folder, None)["checkpoints"]
    return {"peak": written["peak_bytes"], "saves": written["saves"], "seconds": written["seconds"]}


def every_epoch(cli: ReDSM5CLI, folder: RunFolder) -> dict[str, Any]:
    """All state of every epoch, as Lightning writes it by itself."""
    # Ours leave frozen weights out; Lightning's do not.
    MultiTaskModule.on_save_checkpoint = lambda self, checkpoint: None  # type: ignore[method-assign]
    os.environ["TMPDIR"] = str(folder.path)
    checkpoint = TimedCheckpoint(folder.checkpoints, filename="{epoch}", save_top_k=-1, every_n_epochs=1)
    trainer = cli.make_trainer(checkpoint, default_root_dir=str(folder.path))
    trainer.fit(cli.model, datamodule=cli.datamodule)
    saves = len(list(folder.checkpoints.glob("*.ckpt")))
    return {"peak": folder.kept.bytes(), "saves": saves, "seconds": checkpoint.seconds}


if __name__ == "__main__":
    main()
