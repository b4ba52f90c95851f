"""Counts the bytes of tensors that are alive, as PyTorch's caching allocator on a GPU would."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BLOCK = 512
"""The allocator rounds every tensor up to this many bytes."""


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types there
    """Within the block, every storage that an operation returns is counted until nothing holds it any more.

    Storages are counted once, whatever views there are of them; real, meta and fake tensors alike.

    Attributes:
        now: Bytes alive.
        peak: The most that were alive at once since the last ``restart``.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._alive: dict[int, weakref.finalize] = {}  # type: ignore[type-arg]  # not generic at run time

    def add(self, tensors: Iterable[Tensor]) -> None:
        """Count tensors that were there before."""
        for tensor in tensors:
            self._see(tensor)

    def restart(self) -> None:
        """Begin a new peak at what is alive."""
        self.peak = self.now

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation and count what it returns."""
        outcome = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(outcome):
            if isinstance(leaf, Tensor):
                self._see(leaf)
        return outcome

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        self.now += size
        self.peak = max(self.peak, self.now)
        self._alive[key] = weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        del self._alive[key]
        self.now -= size


class CudaAutocast(torch.overrides.TorchFunctionMode):
    """Lets softmax and layer norm compute in fp32, as autocast does on a GPU and does not on a CPU.

    Source: https://docs.pytorch.org/docs/stable/amp.html, "CUDA Ops that can autocast to float32".
    """

    _FLOAT32 = (
        torch.softmax,
        torch.nn.functional.softmax,
        torch.Tensor.softmax,
        torch.nn.functional.layer_norm,
        torch.layer_norm,
    )

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the function, on fp32 copies where autocast on a GPU would make them."""
        if func in self._FLOAT32 and torch.is_autocast_enabled("cpu"):
            args = tuple(a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)
        return func(*args, **(kwargs or {}))
