"""How many bytes of tensors are alive, and how many were at most."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, UntypedStorage
from torch.utils._python_dispatch import TorchDispatchMode

BLOCK = 512
"""The CUDA caching allocator hands out multiples of this many bytes."""


class LiveBytes(TorchDispatchMode):
    """Counts the storages that operations make, from when they are made until nothing holds them.

    Views share a storage and count once. What was made before the mode was entered is not counted. Tensors of the meta
    device and fake tensors have storages of the right size too, without memory behind it.

    Attributes:
        now: Bytes alive.
        peak: The most that were, since the start or since ``restart``.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch types it not
        self.now = 0
        self.peak = 0
        self._alive: dict[int, weakref.ref[UntypedStorage]] = {}

    def restart(self) -> int:
        """Begin a new peak at what is alive; returns it."""
        self.peak = self.now
        return self.now

    def at_least(self, more: int) -> None:
        """Count something for a moment that no operation makes.

        Args:
            more: Bytes beside those alive.
        """
        self.peak = max(self.peak, self.now + more)

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and count what it returns."""
        result = func(*args, **(kwargs or {}))
        for made in _tensors(result):
            storage = made.untyped_storage()
            # Of what was there before, operations return views and changed contents.
            if id(storage) not in self._alive and not _among(storage, args):
                self._add(storage)
        return result

    def _add(self, storage: UntypedStorage) -> None:
        # torch keeps the Python object of a storage for as long as the storage itself lives.
        key = id(storage)
        size = -(-storage.nbytes() // BLOCK) * BLOCK

        def gone(_: weakref.ref[UntypedStorage]) -> None:
            del self._alive[key]
            self.now -= size

        self._alive[key] = weakref.ref(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)


def _among(storage: UntypedStorage, values: Any) -> bool:
    return any(value.untyped_storage() is storage for value in _tensors(values))
