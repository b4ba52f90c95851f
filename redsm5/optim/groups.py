"""Named parameter groups: the layers of the encoder apart, PEFT parameters, and what stands on top."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from redsm5.peft.names import is_factor, part_of

if TYPE_CHECKING:
    from torch import nn

    from redsm5.optim.optimizer import Optimizer

NO_DECAY = ".no_decay"
"""Suffix of the group that holds the biases and norms of a part."""


class EncoderParts(Protocol):
    """What the groups need of an encoder."""

    embeddings: nn.Module
    """The embeddings"""
    layers: Sequence[nn.Module]
    """Transformer layers, bottom up"""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """All parameters of the encoder."""


def parameter_groups(
    network: nn.Module, optimizer: Optimizer, *, lora_b_ratio: float = 1.0, losses: Iterable[nn.Module] = ()
) -> list[dict[str, Any]]:
    """Every trainable parameter in exactly one group.

    Groups are ``encoder.embeddings``, ``encoder.layer.N`` (from the bottom), ``encoder.other`` (in neither, such
    as shared relative positions or a pooler) with the rate ``lr``, ``adapter`` and ``lora_b`` (PEFT parameters) with
    ``peft_lr``, ``head`` (all else) with ``head_lr``, and ``loss`` (what losses learn) with ``head_lr`` too. With a
    layer decay of d and L layers, layer N has lr x d^(L-1-N) and the embeddings lr x d^L. Each group is split in two:
    biases, norms and the scales of IA3 go without weight decay into a group with the suffix ``.no_decay``. Frozen
    parameters and empty groups are left out.

    Args:
        network: The whole model; its ``encoder`` has ``embeddings`` and ``layers``.
        optimizer: Gives the rates, ``layer_decay`` and ``weight_decay``.
        lora_b_ratio: How many times ``peft_lr`` the second matrices of LoRA have (LoRA+).
        losses: Losses, some of which have parameters of their own.

    Returns:
        Dicts with ``name``, ``params``, ``lr`` and ``weight_decay``, in the order above.

    Raises:
        ValueError: Two parts of the encoder share a parameter, or nothing is trainable.
    """
    encoder: EncoderParts = network.encoder  # type: ignore[assignment]  # nn.Module types any attribute as Tensor | Module
    names, owner = owners(network, encoder)
    rates = part_rates(len(encoder.layers), optimizer, lora_b_ratio=lora_b_ratio)
    groups: dict[str, dict[str, Any]] = {}
    for part, lr in rates.items():
        groups[part] = {"name": part, "params": [], "lr": lr, "weight_decay": optimizer.weight_decay}
        groups[part + NO_DECAY] = {"name": part + NO_DECAY, "params": [], "lr": lr, "weight_decay": 0.0}
    for loss in losses:
        for name, parameter in loss.named_parameters():
            names[parameter], owner[parameter] = name, "loss"
    for parameter, part in owner.items():
        if parameter.requires_grad:
            decayed = parameter.ndim > 1 and not is_factor(names[parameter])
            groups[part if decayed else part + NO_DECAY]["params"].append(parameter)
    filled = [group for group in groups.values() if group["params"]]
    if not filled:
        raise ValueError("the network has no trainable parameter")
    return filled


def part_rates(layers: int, optimizer: Optimizer, *, lora_b_ratio: float = 1.0) -> dict[str, float | None]:
    """The rate of every part, in the order of the groups; None where the optimizer finds it itself.

    Args:
        layers: L, layers of the encoder.
        optimizer: Gives the rates and ``layer_decay``.
        lora_b_ratio: As in ``parameter_groups``.
    """

    def scaled(rate: float | None, factor: float) -> float | None:
        return None if rate is None else rate * factor

    lr, decay = optimizer.rate("encoder"), optimizer.layer_decay
    return {
        "encoder.embeddings": scaled(lr, decay**layers),
        **{f"encoder.layer.{n}": scaled(lr, decay ** (layers - 1 - n)) for n in range(layers)},
        "encoder.other": lr,
        "adapter": optimizer.rate("peft"),
        "lora_b": scaled(optimizer.rate("peft"), lora_b_ratio),
        "head": optimizer.rate("head"),
        "loss": optimizer.rate("head"),
    }


def owners(network: nn.Module, encoder: EncoderParts) -> tuple[dict[nn.Parameter, str], dict[nn.Parameter, str]]:
    """The name and the part of every parameter, trainable or not.

    Raises:
        ValueError: Two parts of the encoder share a parameter.
    """
    names: dict[nn.Parameter, str] = {}
    owner: dict[nn.Parameter, str] = {}
    parts: list[tuple[str, Iterable[tuple[str, nn.Parameter]]]] = [
        ("encoder.embeddings", encoder.embeddings.named_parameters()),
        *((f"encoder.layer.{n}", layer.named_parameters()) for n, layer in enumerate(encoder.layers)),
    ]
    for part, parameters in parts:
        for name, parameter in parameters:
            if part_of(name) is not None:
                continue
            if parameter in owner:
                raise ValueError(f"{part} and {owner[parameter]} share the parameter {name}")
            owner[parameter] = part
    for name, parameter in encoder.named_parameters():
        owner.setdefault(parameter, part_of(name) or "encoder.other")
    for name, parameter in network.named_parameters():
        names[parameter] = name
        owner.setdefault(parameter, "head")
    return names, owner
