"""Floating-point tensors without memory behind them, beside real integers and masks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten
_COUNTING = (_aten.arange, _aten.full, _aten.randint, _aten.randperm)
"""Factories that make integers of integers."""


class FakeTensors:
    """Lets operations make fake tensors of floating point and real ones of integers and masks.

    Models read values of positions and masks (which tokens attend globally, whether anything is masked) and make
    shapes of them; nothing that memory depends on comes from floating-point values. A single such value that is read
    all the same (optimizers do) is 1.

    Fake tensors belong to the instance that made them: another would copy them.
    """

    def __init__(self) -> None:
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Within the block."""
        with self._mode, _RealIntegers():
            yield


def forget_values(module: nn.Module) -> None:
    """Put fake tensors in place of all parameters and floating-point buffers, zeros in place of all other buffers.

    What is shared stays shared. A module that was built on the meta device has then cost no memory.

    Args:
        module: Any; called under ``FakeTensors``.
    """
    made: dict[Tensor, Tensor] = {}

    def made_for(tensor: Tensor) -> Tensor:
        if tensor not in made:
            empty = torch.zeros if not tensor.is_floating_point() else torch.empty
            new = empty(tensor.shape, dtype=tensor.dtype, device="cpu")
            made[tensor] = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
        return made[tensor]

    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is not None:
                    held[name] = made_for(tensor)  # type: ignore[assignment]  # a parameter for a parameter


class _RealIntegers(TorchDispatchMode):
    """Runs for real what has no fake tensor among its inputs and makes none."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch types it not

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, for real or on fakes."""
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:  # by far the most frequent
            return torch.device("cpu")
        leaves = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if any(isinstance(leaf, FakeTensor) for leaf in leaves):
            if func is _aten._local_scalar_dense.default:
                return _one(args[0].dtype)
        elif leaves or not _makes_floats(func, args, kwargs.get("dtype")):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        return func(*args, **kwargs)


def _makes_floats(func: Any, args: Sequence[Any], dtype: torch.dtype | None) -> bool:
    """Whether an operation without tensors among its inputs is a factory of floating-point tensors."""
    if all(argument.name != "pin_memory" for argument in func._schema.arguments):
        return False  # arithmetic on plain numbers
    if func.overloadpacket is _aten.scalar_tensor or (args and isinstance(args[0], list) and not args[0]):
        return False  # a number: in a mask it is part of the values
    if dtype is not None:
        return dtype.is_floating_point
    return func.overloadpacket not in _COUNTING or any(isinstance(arg, float) for arg in args)


def _one(dtype: torch.dtype) -> float | int | bool:
    # What is asked of values as yes or no is whether something went wrong (overflow, NaN).
    if dtype == torch.bool:
        return False
    return 1.0 if dtype.is_floating_point else 1
