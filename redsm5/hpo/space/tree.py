"""Stopgap."""

from typing import Any


def tree(space: Any) -> str:
    return str(space)
