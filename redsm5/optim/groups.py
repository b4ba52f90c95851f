"""Named parameter groups: the layers of the encoder apart, and what stands on top of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from redsm5.peft.names import is_factor, part_of

if TYPE_CHECKING:
    from torch import nn

    from redsm5.optim.optimizers import Optimizer


class EncoderParts(Protocol):
    """What the groups need of an encoder."""

    embeddings: nn.Module
    """The embeddings"""
    layers: Sequence[nn.Module]
    """Transformer layers, bottom up"""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """All parameters of the encoder."""


def parameter_groups(network: nn.Module, optimizer: Optimizer, *, lora_b_ratio: float = 1.0) -> list[dict[str, Any]]:
    """Every trainable parameter in exactly one group.

    Groups are ``encoder.embeddings``, ``encoder.layer.N`` (from the bottom), ``encoder.other`` (in neither, such
    as shared relative positions or a pooler) with the rate ``lr``, ``adapter`` and ``lora_b`` (what PEFT added to the
    encoder) and ``head`` (all else) with ``head_lr``, times the ratio of LoRA+ for ``lora_b``. Each is split in two:
    biases and norms, the parameters of one dimension, and (IA)³'s factors go without weight decay into a group with the
    suffix ``.no_decay``. Frozen parameters and empty groups are left out.

    Args:
        network: The whole model; its ``encoder`` has ``embeddings`` and ``layers``.
        optimizer: Gives ``lr``, ``head_lr`` and ``weight_decay``.
        lora_b_ratio: Rate of LoRA's B matrices over that of A.

    Returns:
        Dicts with ``name``, ``params``, ``lr`` and ``weight_decay``, in the order above.

    Raises:
        ValueError: Two parts of the encoder share a parameter, or nothing is trainable.
    """
    encoder: EncoderParts = network.encoder  # type: ignore[assignment]  # nn.Module types any attribute as Tensor | Module
    parts: list[tuple[str, Iterable[tuple[str, nn.Parameter]]]] = [
        ("encoder.embeddings", encoder.embeddings.named_parameters()),
        *((f"encoder.layer.{n}", layer.named_parameters()) for n, layer in enumerate(encoder.layers)),
    ]
    added: dict[nn.Parameter, str] = {
        p: group for name, p in encoder.named_parameters() if (group := part_of(name)) is not None
    }
    owner = dict(added)
    for part, parameters in parts:
        for name, parameter in parameters:
            if parameter in added:
                continue
            if parameter in owner:
                raise ValueError(f"{part} and {owner[parameter]} share the parameter {name}")
            owner[parameter] = part
    for _, parameter in encoder.named_parameters():
        owner.setdefault(parameter, "encoder.other")
    for _, parameter in network.named_parameters():
        owner.setdefault(parameter, "head")

    groups: dict[str, dict[str, Any]] = {}
    rates = {
        **dict.fromkeys([*(name for name, _ in parts), "encoder.other"], optimizer.lr),
        "adapter": optimizer.head_lr,
        "lora_b": optimizer.head_lr * lora_b_ratio,
        "head": optimizer.head_lr,
    }
    for part, lr in rates.items():
        groups[part] = {"name": part, "params": [], "lr": lr, "weight_decay": optimizer.weight_decay}
        groups[f"{part}.no_decay"] = {"name": f"{part}.no_decay", "params": [], "lr": lr, "weight_decay": 0.0}
    factors = {p for name, p in encoder.named_parameters() if is_factor(name)}
    for parameter, part in owner.items():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and parameter not in factors
            groups[part if decays else f"{part}.no_decay"]["params"].append(parameter)
    filled = [group for group in groups.values() if group["params"]]
    if not filled:
        raise ValueError("the network has no trainable parameter")
    return filled
