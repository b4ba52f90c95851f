"""A checkpoint's nested containers as JSON and named tensors, and back. Nothing in it can be executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

TENSOR, TUPLE, ITEMS = "$tensor", "$tuple", "$items"
"""Keys of the JSON objects that stand for what JSON has no word for."""


def to_json(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """Take a tree of containers apart.

    Args:
        tree: Nested dicts (with keys of any plain type), lists and tuples of tensors, numbers, strings, booleans, None.

    Returns:
        What ``json.dumps`` takes, with references in place of the tensors, and the tensors by reference. A tensor that
        stands in several places is there once.

    Raises:
        TypeError: The tree holds something else; names where.
    """
    tensors: dict[str, Tensor] = {}
    seen: dict[tuple[Any, ...], str] = {}
    return _encode(tree, "", tensors, seen), tensors


def from_json(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Put together again what ``to_json`` took apart.

    Raises:
        KeyError: A tensor is missing.
    """
    if isinstance(node, list):
        return [from_json(item, tensors) for item in node]
    if not isinstance(node, dict):
        return node
    if TENSOR in node:
        return tensors[node[TENSOR]]
    if TUPLE in node:
        return tuple(from_json(item, tensors) for item in node[TUPLE])
    if ITEMS in node:
        return {_key(key): from_json(value, tensors) for key, value in node[ITEMS]}
    return {key: from_json(value, tensors) for key, value in node.items()}


def _encode(value: Any, path: str, tensors: dict[str, Tensor], seen: dict[tuple[Any, ...], str]) -> Any:
    import torch

    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, torch.Tensor):
        return {TENSOR: _name(value.detach(), path, tensors, seen)}
    if isinstance(value, Mapping):
        items = [(key, _encode(item, f"{path}/{key}", tensors, seen)) for key, item in value.items()]
        if all(type(key) is str and not key.startswith("$") for key in value):
            return dict(items)
        return {ITEMS: [[_encode(key, f"{path}: the key {key!r}", {}, {}), item] for key, item in items]}
    if type(value) in (list, tuple) or isinstance(value, torch.Size):
        encoded = [_encode(item, f"{path}/{i}", tensors, seen) for i, item in enumerate(value)]
        return encoded if type(value) is list else {TUPLE: encoded}
    raise TypeError(f"a checkpoint cannot hold {type(value).__name__} ({path.lstrip('/')})")


def _name(tensor: Tensor, path: str, tensors: dict[str, Tensor], seen: dict[tuple[Any, ...], str]) -> str:
    same = (tensor.device, tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
    if tensor.numel() and same in seen:
        return seen[same]
    name = seen[same] = path.lstrip("/")
    tensors[name] = tensor
    return name


def _key(node: Any) -> Any:
    return tuple(_key(item) for item in node[TUPLE]) if isinstance(node, dict) else node
