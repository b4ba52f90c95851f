from __future__ import annotations

import pytest
import torch

from redsm5.catalog import CATALOG
from redsm5.modules.encoder_build import wrap
from redsm5.modules.encoder_weights import config_of_facts, from_config
from redsm5.peft.attach import attach
from redsm5.peft.freezing import NoFreezing
from redsm5.peft.lora import LoRA
from redsm5.peft.methods import METHODS
from redsm5.peft.shares import added, trainable

BERT = CATALOG["google-bert/bert-base-uncased"]


def test_shares_of_bert_base_are_the_known_figures():
    parameters, counts = trainable(BERT)
    assert parameters == 108_891_648  # 109,482,240 with the pooler
    assert counts["LoRA"] == counts["LoRAPlus"] == 2 * 12 * 2 * 8 * 768 == 294_912
    assert counts["IA3"] == 12 * (768 + 768 + 3072) == 55_296
    adapter = 2 * 768 * 64 + 768 + 64
    assert counts["Pfeiffer"] == 12 * adapter
    assert counts["Houlsby"] == 24 * adapter
    hypercomplex = 2 * (768 + 64) + 768 + 64  # factors of rank 1, biases
    assert counts["Compacter"] == 24 * hypercomplex + 4**3
    per_rank = 4 * (768 + 768 + 1) + 2 * (768 + 3072 + 1)
    assert counts["AdaLoRA"] == 12 * 12 * per_rank
    assert round(100 * counts["LoRA"] / parameters, 2) == 0.27


@pytest.mark.parametrize("id", ["microsoft/deberta-v3-base", "allenai/longformer-base-4096", "medicalai/ClinicalBERT"])
def test_counts_continued_from_two_layers_are_those_of_the_whole_encoder(id):
    facts = CATALOG[id]
    parameters, counts = trainable(facts)
    for method in METHODS[1:]:
        with torch.device("meta"):
            encoder = wrap(from_config(config_of_facts(facts)))
            assert sum(p.numel() for p in encoder.parameters()) == parameters
            attach(encoder, method(), NoFreezing(), id=id)
        assert sum(p.numel() for p in encoder.parameters() if p.requires_grad) == counts[method.__name__]


def test_every_method_trains_under_a_tenth_of_every_encoder():
    for id, facts in CATALOG.items():
        parameters, counts = trainable(facts)
        assert len(counts) == 7
        for name, count in counts.items():
            assert 0 < count < 0.1 * parameters, (id, name)


@pytest.mark.parametrize(("targets", "share"), [("query_value", 0.27), ("query_key_value_output", 0.54), ("all", 1.22)])
def test_share_of_lora_by_targets(targets, share):
    count = added(BERT, LoRA(targets=targets))
    assert round(100 * count / 108_891_648, 2) == share
