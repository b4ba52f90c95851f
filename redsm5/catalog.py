"""The 30 encoders and the facts about them; for any other encoder the same facts from its config.json. Torch-free."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

from redsm5 import hub
from redsm5.errors import UserError
from redsm5.families import Family, family

TokenizerKind = Literal["WordPiece", "BPE", "Unigram"]

_LAYERS = ("num_hidden_layers", "n_layers")
_HIDDEN = ("hidden_size", "dim")
_HEADS = ("num_attention_heads", "n_heads")
_FFN = ("intermediate_size", "hidden_dim")


@dataclass(frozen=True)
class EncoderFacts:
    """What is known of an encoder before a weight is read.

    Attributes:
        id: Hub id, or a local folder.
        family: transformers' ``model_type``; names of modules come from it, never from the id.
        layers: Transformer layers.
        hidden: Width of the token states.
        heads: Attention heads.
        ffn: Width of the feed-forward blocks.
        vocabulary: Rows of the embedding table.
        context: Usable tokens, special tokens included.
        token_types: Rows of the token type table; below 2 token types are not given to the encoder.
        tokenizer: Kind of the tokenizer, None where unknown.
        cased: Whether upper case reaches the encoder, None where the tokenizer's files decide.
        parameters: Millions of parameters of the bare encoder, with its pooler if it has one; None where unknown.
        weights: Kinds of weight files on the hub.
        mlm_head: Whether a masked-LM head is in the weights, None where unknown.
        gated: Whether terms must be accepted first.
        licence: Licence of the weights, None where none is stated.
        notes: What to know before using it.
    """

    id: str
    family: str
    layers: int
    hidden: int
    heads: int
    ffn: int
    vocabulary: int
    context: int
    token_types: int
    tokenizer: TokenizerKind | None = None
    cased: bool | None = None
    parameters: float | None = None
    weights: tuple[str, ...] = ()
    mlm_head: bool | None = None
    gated: bool = False
    licence: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def architecture(self) -> Family:
        """Names of modules and config fields of the family."""
        return family(self.family)

    @property
    def attention_modules(self) -> tuple[str, ...]:
        """Regular expressions that match the full names of the linear layers of attention; empty where unknown."""
        return self.architecture.attention_modules

    @property
    def ffn_modules(self) -> tuple[str, ...]:
        """Regular expressions that match the full names of the linear layers of the feed-forward blocks."""
        return self.architecture.ffn_modules

    @property
    def attention(self) -> Literal["sdpa", "eager", "auto"]:
        """The attention implementation asked of transformers."""
        return self.architecture.attention


def _load() -> dict[str, EncoderFacts]:
    table = json.loads(files("redsm5").joinpath("catalog.json").read_text(encoding="utf-8"))
    return {row["id"]: _from_row(row) for row in table}


def _from_row(row: dict[str, Any]) -> EncoderFacts:
    layers, hidden, heads, ffn = row.pop("sizes")
    row["weights"], row["notes"] = tuple(row["weights"]), tuple(row["notes"])
    return EncoderFacts(layers=layers, hidden=hidden, heads=heads, ffn=ffn, **row)


CATALOG: Mapping[str, EncoderFacts] = _load()
"""The 30 encoders by hub id."""


def facts(id: str, revision: str | None = None) -> EncoderFacts:
    """The facts of an encoder: from the table, else from its config.json.

    Args:
        id: Hub id or local folder.
        revision: Branch, tag or commit on the hub; only for an id outside the table.

    Raises:
        UserError: It cannot be found, or its config.json does not describe an encoder.
    """
    if id in CATALOG and not Path(id).is_dir():
        return CATALOG[id]
    folder = hub.resolve(id, revision, allow=hub.CONFIG)
    return facts_of_config(id, read_config(folder / "config.json"))


def read_config(path: Path) -> dict[str, Any]:
    """A config.json.

    Raises:
        UserError: It is no JSON object.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {type(error).__name__}; give a folder with a valid one") from error
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no JSON object; give a folder with a valid config.json")
    return config


def facts_of_config(id: str, config: Mapping[str, Any]) -> EncoderFacts:
    """Facts from the fields of a config.json.

    A config without ``model_type`` but with BERT's fields is BERT (biobert-large-cased-v1.1 is like that); a DeBERTa
    config without sizes has those of DeBERTa-v3 base (nvidia/quality-classifier-deberta).

    Raises:
        UserError: A size is missing, or it is an encoder-decoder.
    """
    name = config.get("model_type")
    if name is None and {"hidden_size", "type_vocab_size"} <= config.keys():
        name = "bert"
    if not isinstance(name, str):
        raise UserError(f'the config.json of {id} has no model_type; add it, for example "model_type": "bert"')
    if config.get("is_encoder_decoder"):
        raise UserError(f"{id} is an encoder-decoder ({name}); give an encoder such as bert-base or roberta")
    if name == "deberta-v2" and not any(key in config for key in _HIDDEN):
        return replace(CATALOG["nvidia/quality-classifier-deberta"], id=id)
    kind = family(name)

    def number(*keys: str) -> int:
        for key in keys:
            if isinstance(config.get(key), int):
                return cast(int, config[key])
        raise UserError(f"the config.json of {id} lacks {keys[0]}; is it an encoder of transformers?")

    # A config that is silent about padding has RoBERTa's default, 1.
    padding = config.get("pad_token_id", 1)
    unusable = 1 + (padding or 0) if kind.positions_after_padding else 0
    return EncoderFacts(
        id=id,
        family=name,
        layers=number(*_LAYERS),
        hidden=number(*_HIDDEN),
        heads=number(*_HEADS),
        ffn=number(*_FFN),
        vocabulary=number("vocab_size"),
        context=number("max_position_embeddings") - unusable,
        token_types=int(config.get("type_vocab_size", kind.token_types) or 0),
    )
