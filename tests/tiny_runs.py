"""The command line of a small fit."""

from __future__ import annotations

from pathlib import Path


def fit_options(corpus: Path, encoder: Path, run_dir: Path, *more: str) -> list[str]:
    """Options of a fit that takes two seconds and whose model binds spans."""
    return [
        "fit", f"--data.path={corpus}", f"--model.encoder.id={encoder}", f"--run_dir={run_dir}",
        "--data.max_length=32", "--data.stride=8", "--data.workers=0", "--trainer.accelerator=cpu",
        "--model.optimizer.lr=0.003", "--model.optimizer.head_lr=0.01", "--trainer.max_epochs=4",
        "--runtime.threads=1", "--early_stopping.monitor=val_hit_at_1",
        # Without a penalty on null, spans beat it after a few steps.
        "--model.evidence_head.null_weight=0.0", "--model.task_weighting.lambda_span=3", *more,
    ]  # fmt: skip
