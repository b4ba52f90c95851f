"""Tiny adapted encoders, and every method in a size that fits them."""

from __future__ import annotations

import pytest
import torch
from encoder_samples import FAMILIES, random_batch, tiny_config
from transformers import AutoModel

from redsm5.modules.encoder_build import wrap
from redsm5.modules.encoder_model import EncoderModel
from redsm5.peft.attach import attach
from redsm5.peft.freezing import Freezing, NoFreezing
from redsm5.peft.methods import IA3, PEFT, AdaLoRA, Compacter, Houlsby, LoRA, LoRAPlus, NoPEFT, Pfeiffer

__all__ = ["CASES", "FAMILIES", "PAIRS", "adapted", "loss_of", "random_batch", "stir"]

CASES: dict[str, PEFT] = {
    "lora": LoRA(r=4),
    "lora-all": LoRA(r=4, targets="all", bias="lora_only", dropout=0.1),
    "lora-plus": LoRAPlus(r=4, targets="query_value_ffn", bias="all"),
    "adalora": AdaLoRA(initial_r=4, target_r=2),
    "pfeiffer": Pfeiffer(bottleneck=16),
    "houlsby": Houlsby(bottleneck=16, dropout=0.1),
    "houlsby-parallel": Houlsby(bottleneck=16, parallel=True),
    "compacter": Compacter(bottleneck=16),
    "ia3": IA3(),
    "ia3-attention": IA3(ffn=False),
}

QUICK = dict(zip(FAMILIES, list(CASES)[-len(FAMILIES) :], strict=True))
PAIRS = [
    pytest.param(family, name, id=f"{family}-{name}", marks=[] if quick else [pytest.mark.slow])
    for family in FAMILIES
    for name in CASES
    for quick in [family == "bert" or QUICK[family] == name]
]
"""Every method on every family; without the slow ones every method on BERT and every family with one method."""


def adapted(
    family: str,
    method: PEFT = NoPEFT(),  # noqa: B008
    freezing: Freezing = NoFreezing(),  # noqa: B008
    *,
    gradient_checkpointing: bool = False,
    layers: int = 2,
) -> EncoderModel:
    """A tiny encoder of a family, without pooler or dropout of its own, with a method on it; the same base for all."""
    config = tiny_config(family)
    config.num_hidden_layers = layers
    if family == "longformer":
        config.attention_window = [config.attention_window] * layers
    for name in ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout"):
        if hasattr(config, name):
            setattr(config, name, 0.0)
    arguments = {} if family in {"electra", "distilbert", "deberta-v2"} else {"add_pooling_layer": False}
    torch.manual_seed(0)
    encoder = wrap(AutoModel.from_config(config, **arguments), gradient_checkpointing=gradient_checkpointing)
    attach(encoder, method, freezing, id=f"tiny/{family}")
    return encoder


def stir(encoder: EncoderModel, *, seed: int = 1) -> None:
    """Move everything that trains away from where it starts, so that a method shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator)


def loss_of(encoder: EncoderModel, length: int = 12) -> torch.Tensor:
    """Distance of the states of two windows from a fixed target."""
    ids, mask = random_batch(2, length)
    generator = torch.Generator().manual_seed(2)
    target = torch.randn(2, length, encoder.hidden_size, generator=generator)
    return (encoder(ids, mask) - target).square().mean()
