"""``redsm5 test``."""

from __future__ import annotations

from redsm5.run.evaluation import run_on_part


def run(args: list[str]) -> int:
    """Evaluate a run on its test part; returns the exit code."""
    return run_on_part(args, "test")
