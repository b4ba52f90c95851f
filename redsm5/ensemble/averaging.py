"""One model of the mean of several models' weights (Wortsman et al. 2022), where they share an architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch

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


def averaged(models: Sequence[ModelFiles]) -> ModelFiles:
    """The first of some models of one architecture with the mean of the weights of all.

    Args:
        models: At least one; whole numbers, such as counts, are those of the first.
    """
    first = models[0]
    state = {
        name: torch.stack([model.state[name].double() for model in models]).mean(0).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in first.state.items()
    }
    return replace(first, state=state)
