"""Where unfinished predictions wait, and the refusal to replace a file. Torch-free."""

from __future__ import annotations

from pathlib import Path

from redsm5.errors import UserError


def partial_folder(out: Path) -> Path:
    """Where finished work waits."""
    return out.with_name(out.name + ".partial")


def already_there(out: Path) -> UserError:
    """The refusal to replace a file."""
    return UserError(f"--out {out} is there already; choose another, or add --overwrite")
