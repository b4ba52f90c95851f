"""What the encoder families differ in: module names, attention, positions, names in config.json. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_SELF = r".*attention\.self\.(query|key|value)"
_QUERY, _KEY, _VALUE = (rf".*attention\.self\.{name}" for name in ("query", "key", "value"))
_OUTPUT = r".*attention\.output\.dense"
_FFN = (r".*intermediate\.dense", r".*layer\.\d+\.output\.dense")


@dataclass(frozen=True)
class Sites:
    """Where bottleneck adapters go: regular expressions on full names of modules, none where there is no such module.

    Attributes:
        after: Last step of the attention and of the feed-forward block before "add and norm": its output is adapted.
        norm: The norm that closes a layer, ``LN(feed-forward + residual)``.
        residual: Modules called with (hidden states, input of the block) that add the two and normalise.
        around: Modules called with the input of the block that return its output, before "add and norm".
    """

    after: tuple[str, ...] = ()
    norm: tuple[str, ...] = ()
    residual: tuple[str, ...] = ()
    around: tuple[str, ...] = ()


_LAYER = r".*\blayer\.\d+\."
_BERT_SITES = Sites(
    after=(_LAYER + r"(attention\.)?output\.dropout",),
    norm=(_LAYER + r"output\.LayerNorm",),
    residual=(_LAYER + r"(attention\.)?output",),
)


@dataclass(frozen=True)
class Family:
    """One architecture, by its ``model_type``.

    Attributes:
        attention: Attention implementation asked of transformers. ``sdpa`` where the family has it, ``eager`` where it
            refuses that, ``auto`` (transformers decides) where the family is unknown.
        attention_modules: Regular expressions; together they match the full names of the linear layers of attention.
        ffn_modules: Likewise for the feed-forward blocks, the linear layer that goes in first.
        query: The query projections among them; empty where one layer gives query, key and value.
        key: The key projections.
        value: The value projections.
        sites: Where bottleneck adapters go.
        token_types: Token types when config.json does not say.
        positions_after_padding: Positions start at ``pad_token_id + 1``: so many rows of the table are not usable.
        checkpointing: Whether transformers can recompute its activations (gradient checkpointing).
        hidden_dropout: Names in config.json that together set the dropout of hidden states.
        attention_dropout: Names in config.json that set the dropout of attention probabilities.
    """

    attention: Literal["sdpa", "eager", "auto"] = "sdpa"
    attention_modules: tuple[str, ...] = (_SELF, _OUTPUT)
    ffn_modules: tuple[str, ...] = _FFN
    query: str = _QUERY
    key: str = _KEY
    value: str = _VALUE
    sites: Sites = _BERT_SITES
    token_types: int = 2
    positions_after_padding: bool = False
    checkpointing: bool = True
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
        query=_QUERY + "(_global)?",
        key=_KEY + "(_global)?",
        value=_VALUE + "(_global)?",
        positions_after_padding=True,
    ),
    "big_bird": Family(attention="eager"),
    "deberta-v2": Family(
        attention="eager",
        attention_modules=(r".*attention\.self\.(query|key|value)_proj", _OUTPUT),
        query=_QUERY + "_proj",
        key=_KEY + "_proj",
        value=_VALUE + "_proj",
        token_types=0,
    ),
    "distilbert": Family(
        attention_modules=(r".*attention\.(q|k|v)_lin", r".*attention\.out_lin"),
        ffn_modules=(r".*ffn\.lin1", r".*ffn\.lin2"),
        query=r".*attention\.q_lin",
        key=r".*attention\.k_lin",
        value=r".*attention\.v_lin",
        sites=Sites(
            after=(_LAYER + r"attention\.out_lin", _LAYER + r"ffn\.dropout"),
            norm=(_LAYER + "output_layer_norm",),
            around=(_LAYER + "attention", _LAYER + "ffn"),
        ),
        token_types=0,
        hidden_dropout=("dropout",),
        attention_dropout=("attention_dropout",),
    ),
    "mpnet": Family(
        attention="eager",
        attention_modules=(r".*attention\.attn\.(q|k|v)", r".*attention\.attn\.o"),
        query=r".*attention\.attn\.q",
        key=r".*attention\.attn\.k",
        value=r".*attention\.attn\.v",
        sites=Sites(
            after=(_LAYER + r"attention\.dropout", _LAYER + r"output\.dropout"),
            norm=(_LAYER + r"output\.LayerNorm",),
            residual=(_LAYER + "output",),
            around=(_LAYER + r"attention\.attn",),
        ),
        token_types=0,
        positions_after_padding=True,
        checkpointing=False,
    ),
    "modernbert": Family(
        attention_modules=(r".*attn\.Wqkv", r".*attn\.Wo"),
        ffn_modules=(r".*mlp\.Wi", r".*mlp\.Wo"),
        query="",
        key="",
        value="",
        sites=Sites(),
        token_types=0,
        hidden_dropout=("embedding_dropout", "mlp_dropout"),
        attention_dropout=("attention_dropout",),
    ),
}
"""Families with known names. Any other encoder that transformers' AutoModel reads works too, without these names."""

UNKNOWN = Family(
    attention="auto", attention_modules=(), ffn_modules=(), query="", key="", value="", sites=Sites(), token_types=0
)


def family(model_type: str) -> Family:
    """The family of a ``model_type``; one without names where it is unknown."""
    return FAMILIES.get(model_type, UNKNOWN)
