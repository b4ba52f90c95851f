"""Tiny encoders of every family, made here with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoModel

from redsm5.catalog import EncoderFacts
from redsm5.modules.encoder_weights import config_of_facts

FAMILIES = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "deberta-v2", "longformer", "big_bird")
SMALL_BLOCKS = {"longformer": {"attention_window": 8}, "big_bird": {"block_size": 4, "num_random_blocks": 1}}
"""Windows and blocks as small as the encoders, so that a short test sees more than one."""


def tiny_facts(family: str, *, context: int = 64) -> EncoderFacts:
    types = {"bert": 2, "electra": 2, "big_bird": 2, "distilbert": 0, "deberta-v2": 0}.get(family, 1)
    return EncoderFacts(
        id=f"tiny/{family}",
        family=family,
        layers=2,
        hidden=32,
        heads=2,
        ffn=64,
        vocabulary=50,
        context=context,
        token_types=types,
    )


def tiny_config(family: str, *, context: int = 64):
    config = config_of_facts(tiny_facts(family, context=context))
    for name, value in SMALL_BLOCKS.get(family, {}).items():
        setattr(config, name, value)
    return config


def save_tiny(
    family: str, folder: Path, *, pickle: bool = False, dtype: torch.dtype = torch.float32
) -> torch.nn.Module:
    """A folder with config and weights of a tiny encoder; returns the transformers model that was saved."""
    torch.manual_seed(0)
    model = AutoModel.from_config(tiny_config(family)).to(dtype).eval()
    model.save_pretrained(folder)
    if pickle:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model


def edit_config(folder: Path, *, remove: tuple[str, ...] = (), **values: object) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | values
    path.write_text(json.dumps({k: v for k, v in config.items() if k not in remove}))


def random_batch(rows: int, length: int, *, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids without special tokens, and a mask of ones."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, 50, (rows, length), generator=generator), torch.ones(rows, length, dtype=torch.long)
