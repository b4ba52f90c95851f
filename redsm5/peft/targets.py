"""Target sets and layers as regular expressions on module names, the same in every family. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from redsm5.catalog import EncoderFacts

Targets = Literal["query_value", "query_key_value_output", "query_value_ffn", "all"]
Layers = Literal["all", "top_4", "top_8"]


def linear_modules(facts: EncoderFacts, targets: Targets) -> tuple[str, ...]:
    """Regular expressions for the linear layers of a target set; empty where the family cannot tell them apart.

    Args:
        facts: The encoder.
        targets: ``query_value``: the projections of query and value; ``query_key_value_output``: all of attention;
            ``query_value_ffn``: query, value and the feed-forward block; ``all``: attention and feed-forward block.
    """
    names = facts.architecture
    query_value = (names.query, names.value) if names.query else ()
    match targets:
        case "query_value":
            return query_value
        case "query_key_value_output":
            return names.attention_modules
        case "query_value_ffn":
            return (*query_value, *names.ffn_modules) if query_value else ()
        case "all":
            return (*names.attention_modules, *names.ffn_modules)


def top_layers(layers: Layers) -> int | None:
    """How many layers from the top are meant; None for all."""
    return None if layers == "all" else int(layers.removeprefix("top_"))


def in_layers(modules: Iterable[str], facts: EncoderFacts, layers: Layers) -> str:
    """One expression that fully matches the name of any of the modules in the layers meant.

    Args:
        modules: Expressions that match full names.
        facts: The encoder.
        layers: All of its layers, or the top four or eight.
    """
    names = "|".join(modules)
    top = top_layers(layers)
    if top is None:
        return f"(?:{names})"
    numbers = "|".join(str(n) for n in range(facts.layers - top, facts.layers))
    return rf"(?=(?:.*\.)?layers?\.(?:{numbers})\.)(?:{names})"
