"""Stopgap."""

from typing import Any


def check_space(space: Any, args: Any) -> None: ...
