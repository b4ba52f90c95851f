"""The masked-LM head: from token states to logits over the vocabulary, with the weights of the release if any."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import activations

from redsm5 import hub
from redsm5.modules.encoder_model import EncoderModel

_activation: Any = activations.get_activation  # it has no types
HEAD_FILE = "mlm_head.safetensors"
"""The head in the folder of a stage, beside the encoder's own weights."""

NAMES: tuple[dict[str, str], ...] = (
    {  # BERT, BigBird, DeBERTa
        "dense": "cls.predictions.transform.dense",
        "norm": "cls.predictions.transform.LayerNorm",
        "bias": "cls.predictions.bias",
    },
    # RoBERTa, XLM-R, Longformer, MPNet
    {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "bias": "lm_head.bias"},
    {"dense": "vocab_transform", "norm": "vocab_layer_norm", "bias": "vocab_projector.bias"},  # DistilBERT
    {  # ELECTRA's generator; its discriminator has none
        "dense": "generator_predictions.dense",
        "norm": "generator_predictions.LayerNorm",
        "bias": "generator_lm_head.bias",
    },
)
"""What the families call the parts of the head."""


class MLMHead(nn.Module):
    """``E LN(act(W h + b)) + c`` with E the embedding table of the encoder (Devlin et al. 2019).

    All thirty encoders of the catalog tie the last layer to their embeddings; so does this head, a fresh one too.

    Args:
        encoder: Whose states it reads.
    """

    def __init__(self, encoder: EncoderModel) -> None:
        super().__init__()
        config: Any = encoder.config
        table = encoder.model.get_input_embeddings()
        assert isinstance(table, nn.Embedding)
        rows, width = table.weight.shape
        self.dense = nn.Linear(encoder.hidden_size, width)
        name = getattr(config, "hidden_act", None) or getattr(config, "activation", "gelu")
        self.activation: nn.Module = _activation(name)
        self.norm = nn.LayerNorm(width, eps=float(getattr(config, "layer_norm_eps", 1e-12)))
        self.bias = nn.Parameter(torch.zeros(rows))
        nn.init.normal_(self.dense.weight, std=float(getattr(config, "initializer_range", 0.02)))
        nn.init.zeros_(self.dense.bias)

    def forward(self, states: Tensor, embeddings: Tensor) -> Tensor:
        """Logits.

        Args:
            states: [N, H], of the tokens that are to be predicted.
            embeddings: [V, E], the encoder's table.

        Returns:
            float32 [N, V].
        """
        return F.linear(self.norm(self.activation(self.dense(states))), embeddings, self.bias).float()


def load_head(head: MLMHead, folder: Path) -> bool:
    """Give a head the weights that lie with an encoder.

    Args:
        head: Changed in place.
        folder: Of the encoder.

    Returns:
        Whether there were any that fit; else the head stays fresh.
    """
    if (folder / HEAD_FILE).is_file():
        head.load_state_dict(load_file(folder / HEAD_FILE))
        return True
    found = _head_weights(folder)
    shapes = {name: tensor.shape for name, tensor in head.state_dict().items()}
    if {name: tensor.shape for name, tensor in found.items()} != shapes:
        return False
    head.load_state_dict({name: tensor.float() for name, tensor in found.items()})
    return True


def _head_weights(folder: Path) -> dict[str, Tensor]:
    """The parts of a head by our names, as far as the weight files have them."""
    wanted: dict[str, str] = {}
    for names in NAMES:
        for part in ("dense", "norm"):
            wanted |= {f"{names[part]}.{end}": f"{part}.{end}" for end in ("weight", "bias")}
            wanted |= {f"{names[part]}.{old}": f"{part}.{new}" for old, new in (("gamma", "weight"), ("beta", "bias"))}
        wanted[names["bias"]] = "bias"
    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            found |= {wanted[name]: weights.get_tensor(name) for name in weights.keys() & wanted.keys()}
    if hub.has_any(folder, hub.SAFETENSORS):
        return found
    for file in sorted(folder.glob("pytorch_model*.bin")):
        # Old releases are no archives, and cannot be mapped.
        tensors = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
        found |= {wanted[name]: tensors[name] for name in tensors.keys() & wanted.keys()}
    return found
