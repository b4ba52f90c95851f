"""What the tests of probes share: a config of a tiny encoder, in a process of its own."""

from __future__ import annotations

from pathlib import Path

from redsm5.batch_search.child import ProbeSpec

GB = 1024**3


def spec_of(encoder: Path | str, *more: str, **changes) -> ProbeSpec:
    """A tiny encoder at 64 tokens, small enough to probe in a fraction of a second."""
    args = (
        f"--model.encoder.id={encoder}", "--data.path=none", "--data.max_length=64", "--data.stride=8",
        "--trainer.accelerator=cpu", "--runtime.threads=1", *more,
    )  # fmt: skip
    values = {
        "args": args, "criteria": None, "max_length": 64, "encoder": str(encoder), "precision": "none", "on_cpu": True,
        "accumulates": False, "memory_gb": None, "margin": 0.05, "limited": True,
    }  # fmt: skip
    return ProbeSpec(**{**values, **changes})
