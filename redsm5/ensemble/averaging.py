"""One model of the mean of several models' weights (Wortsman et al. 2022), where they share an architecture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any

from redsm5.inference.build import build_network
from redsm5.inference.model_files import ModelFiles
from redsm5.inference.recipe import NetworkRecipe
from redsm5.peft.attach import merge
from redsm5.peft.freezing import NoFreezing
from redsm5.peft.methods import NoPEFT

OF_TRAINING = frozenset(
    {
        "gradient_checkpointing", "hidden_dropout", "attention_dropout", "random_weights", "dropout", "dropout_samples",
        "null_weight", "hard_negative_weight", "inside_weight", "inside_pos_weight", "weight",
        "negatives_per_positive", "hard_negative_ratio",
    }
)  # fmt: skip
"""Fields of the options of a network and of a format that only a training reads."""


def folded(files: ModelFiles) -> ModelFiles:
    """The same model with every weight its own, and what LoRA and its kin have learned in those of the encoder.

    That is what export makes of it. The mean of two products is not the product of the means: factors are averaged
    only where they cannot be multiplied out, as in bottleneck adapters.
    """
    peft = files.recipe.network.peft
    if not (peft.mergeable or isinstance(peft, NoPEFT)) or (isinstance(peft, NoPEFT) and files.base is None):
        return files
    network = build_network(files, files.recipe.data.format.build(files.criteria, files.tokenizer).n_outputs)
    if peft.mergeable:
        merge(network.encoder)
    options = replace(files.recipe.network, peft=NoPEFT(), freezing=NoFreezing())
    recipe = replace(files.recipe, network=options).with_random_encoder()
    return replace(files, recipe=recipe, state=network.state_dict(), base=None)


def architecture(files: ModelFiles) -> tuple[Any, ...]:
    """What models must have in common for the mean of their weights to be a model.

    The layout of posts, all options of the network that its function depends on, and names and shapes of all tensors;
    for weights on a frozen base that base. What only a training reads may differ, such as dropout and freezing, and so
    may what is around the network: windows, precision and limits on spans.

    Args:
        files: From ``folded``.
    """
    network = files.recipe.network
    parts = tuple(_read(getattr(network, field.name)) for field in fields(NetworkRecipe) if field.name != "freezing")
    shapes = tuple(sorted((name, tuple(tensor.shape)) for name, tensor in files.state.items()))
    base = None if files.base is None else files.base.sha256
    return (_read(files.recipe.data.format), parts, shapes, base)


def _read(option: Any) -> Any:
    """An option without what only a training reads; classes by their full names, since two parts have a ``Mean``."""
    if not is_dataclass(option):
        return option
    kept = tuple((f.name, _read(getattr(option, f.name))) for f in fields(option) if f.name not in OF_TRAINING)
    return (f"{type(option).__module__}.{type(option).__qualname__}", kept)


def averaged(models: Iterable[ModelFiles]) -> ModelFiles:
    """The first of some models of one architecture with the mean of the weights of all.

    Args:
        models: At least one; beside the first and the sums one of them is in memory at a time. Whole numbers, such as
            counts, are those of the first.
    """
    rest = iter(models)
    first = next(rest)
    sums = {name: tensor.double() for name, tensor in first.state.items() if tensor.is_floating_point()}
    count = 1
    for model in rest:
        count += 1
        for name, total in sums.items():
            total += model.state[name].double()
        del model  # before the next one is read
    means = {name: (total / count).to(first.state[name].dtype) for name, total in sums.items()}
    return replace(first, state={**first.state, **means})
