"""One model of the mean of several models' weights (Wortsman et al. 2022), where they share an architecture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from redsm5.inference.model_files import ModelFiles


def architecture(files: ModelFiles) -> tuple[Any, ...]:
    """What models must have in common for the mean of their weights to be a model.

    The encoder, the layout of posts, the class of each part of the network, and names and shapes of all tensors; for
    weights on a frozen base that base. Windows may differ, and what only a training reads, such as dropout.
    """
    network = files.recipe.network
    parts = tuple(type(getattr(network, field.name)).__qualname__ for field in fields(network))
    shapes = tuple(sorted((name, tuple(tensor.shape)) for name, tensor in files.state.items()))
    base = None if files.base is None else files.base.sha256
    return (network.encoder.id, network.encoder.revision, files.recipe.data.format, parts, shapes, base)


def averaged(models: Iterable[ModelFiles]) -> ModelFiles:
    """The first of some models of one architecture with the mean of the weights of all.

    Args:
        models: At least one; only two of them are in memory at a time. Whole numbers, such as counts, are those of the
            first.
    """
    rest = iter(models)
    first = next(rest)
    sums = {name: tensor.double() for name, tensor in first.state.items() if tensor.is_floating_point()}
    count = 1
    for model in rest:
        count += 1
        for name, total in sums.items():
            total += model.state[name].double()
    means = {name: (total / count).to(first.state[name].dtype) for name, total in sums.items()}
    return replace(first, state={**first.state, **means})
