from __future__ import annotations

import pytest
from peft_samples import FAMILIES, adapted

from redsm5.catalog import CATALOG
from redsm5.peft.bottleneck import Houlsby
from redsm5.peft.ia3 import IA3
from redsm5.peft.lora import LoRA

BERT = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "in": "intermediate.dense",
    "out": "output.dense",
}
NAMES = {
    **dict.fromkeys(FAMILIES, BERT),
    "deberta-v2": {**BERT, **{part: f"attention.self.{part}_proj" for part in ("query", "key", "value")}},
    "distilbert": {
        "query": "attention.q_lin",
        "key": "attention.k_lin",
        "value": "attention.v_lin",
        "output": "attention.out_lin",
        "in": "ffn.lin1",
        "out": "ffn.lin2",
    },
}
SETS = {
    "query_value": ("query", "value"),
    "query_key_value_output": ("query", "key", "value", "output"),
    "query_value_ffn": ("query", "value", "in", "out"),
    "all": ("query", "key", "value", "output", "in", "out"),
}


def expected(family, parts):
    names = {NAMES[family][part] for part in parts}
    if family == "longformer":  # the same projections once more, for tokens with global attention
        names |= {f"{BERT[part]}_global" for part in parts if part in ("query", "key", "value")}
    return names


def found(encoder, layer=1):
    return {name for name, module in encoder.layers[layer].named_modules() if hasattr(module, "base_layer")}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("targets", SETS)
def test_target_set_means_the_same_in_every_family(family, targets):
    encoder = adapted(family, LoRA(r=2, targets=targets))
    assert found(encoder) == expected(family, SETS[targets])
    assert sum(hasattr(m, "base_layer") for m in encoder.modules()) == 2 * len(found(encoder))  # none outside layers


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("ffn", "parts"), [(True, ("key", "value", "out")), (False, ("key", "value"))])
def test_ia3_scales_keys_values_and_the_inside_of_the_feed_forward_block(family, ffn, parts):
    encoder = adapted(family, IA3(ffn=ffn))
    assert found(encoder) == expected(family, parts)
    inside = [m for m in encoder.modules() if getattr(m, "is_feedforward", False)]
    assert len(inside) == (2 if ffn else 0)
    assert all(m.ia3_l["default"].numel() == 64 for m in inside)


@pytest.mark.parametrize(
    ("id", "method", "said"),
    [
        ("google-bert/bert-base-uncased", LoRA(r=769), "r is 769, but the hidden size of .* is 768"),
        ("medicalai/ClinicalBERT", Houlsby(layers="top_8"), "layers is top_8, but .* has 6 layers; use all"),
    ],
)
def test_misfit_is_seen_from_the_facts(id, method, said):
    import re

    assert re.match(said, method.misfit(CATALOG[id]))
    assert method.misfit(CATALOG["google-bert/bert-large-uncased"]) is None
