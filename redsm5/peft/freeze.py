"""Freezing of parameters.

Nothing else is needed to save time and memory: autograd keeps no graph of layers below the first weight that trains.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from redsm5.modules.encoder_model import EncoderModel
from redsm5.peft.names import part_of


def freeze_all_but(encoder: EncoderModel, layers: Iterable[nn.Module]) -> None:
    """Freeze an encoder's own weights, those of these layers and of a norm behind the last one left out.

    Under PEFT they are frozen already, but for the biases that a method was told to train: nothing is done.

    Args:
        encoder: The encoder.
        layers: Layers that go on training.
    """
    if any(part_of(name) is not None for name, _ in encoder.named_parameters()):
        return
    kept = {id(parameter) for layer in layers for parameter in layer.parameters()}
    for name, parameter in encoder.named_parameters():
        behind = "final_norm." in name and bool(kept)  # ModernBERT
        if id(parameter) not in kept and not behind:
            parameter.requires_grad = False


def unfreeze_norms(encoder: EncoderModel) -> None:
    """Let every layer norm of the encoder train.

    Args:
        encoder: The encoder.
    """
    for module in encoder.modules():
        if isinstance(module, nn.LayerNorm):
            module.requires_grad_(True)
