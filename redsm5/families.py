"""What the encoder families differ in: module names, attention, positions, names in config.json. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SELF = r".*attention\.self\.(query|key|value)"
_OUTPUT = r".*attention\.output\.dense"
_FFN = (r".*intermediate\.dense", r".*layer\.\d+\.output\.dense")


@dataclass(frozen=True)
class Family:
    """One architecture, by its ``model_type``.

    Attributes:
        attention: Attention implementation asked of transformers. ``sdpa`` where the family has it, ``eager`` where it
            refuses that, ``auto`` (transformers decides) where the family is unknown.
        attention_modules: Regular expressions; together they match the full names of the linear layers of attention.
        ffn_modules: Likewise for the feed-forward blocks.
        token_types: Token types when config.json does not say.
        positions_after_padding: Positions start at ``pad_token_id + 1``: so many rows of the table are not usable.
        hidden_dropout: Names in config.json that together set the dropout of hidden states.
        attention_dropout: Names in config.json that set the dropout of attention probabilities.
    """

    attention: Literal["sdpa", "eager", "auto"] = "sdpa"
    attention_modules: tuple[str, ...] = (_SELF, _OUTPUT)
    ffn_modules: tuple[str, ...] = _FFN
    token_types: int = 2
    positions_after_padding: bool = False
    hidden_dropout: tuple[str, ...] = ("hidden_dropout_prob",)
    attention_dropout: tuple[str, ...] = ("attention_probs_dropout_prob",)


FAMILIES: dict[str, Family] = {
    "bert": Family(),
    "electra": Family(),
    "roberta": Family(positions_after_padding=True),
    "xlm-roberta": Family(positions_after_padding=True),
    "camembert": Family(positions_after_padding=True),
    "longformer": Family(
        attention="eager",
        attention_modules=(r".*attention\.self\.(query|key|value)(_global)?", _OUTPUT),
        positions_after_padding=True,
    ),
    "big_bird": Family(attention="eager"),
    "deberta-v2": Family(
        attention="eager",
        attention_modules=(r".*attention\.self\.(query|key|value)_proj", _OUTPUT),
        token_types=0,
    ),
    "distilbert": Family(
        attention_modules=(r".*attention\.(q|k|v)_lin", r".*attention\.out_lin"),
        ffn_modules=(r".*ffn\.lin1", r".*ffn\.lin2"),
        token_types=0,
        hidden_dropout=("dropout",),
        attention_dropout=("attention_dropout",),
    ),
    "mpnet": Family(
        attention="eager",
        attention_modules=(r".*attention\.attn\.(q|k|v)", r".*attention\.attn\.o"),
        token_types=0,
        positions_after_padding=True,
    ),
    "modernbert": Family(
        attention_modules=(r".*attn\.Wqkv", r".*attn\.Wo"),
        ffn_modules=(r".*mlp\.Wi", r".*mlp\.Wo"),
        token_types=0,
        hidden_dropout=("embedding_dropout", "mlp_dropout"),
        attention_dropout=("attention_dropout",),
    ),
}
"""Families with known names. Any other encoder that transformers' AutoModel reads works too, without these names."""

UNKNOWN = Family(attention="auto", attention_modules=(), ffn_modules=(), token_types=0)


def family(model_type: str) -> Family:
    """The family of a ``model_type``; one without names where it is unknown."""
    return FAMILIES.get(model_type, UNKNOWN)
