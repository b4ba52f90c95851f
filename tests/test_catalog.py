from __future__ import annotations

import json
import subprocess
import sys

import pytest

from redsm5 import hub
from redsm5.catalog import CATALOG, facts, facts_of_config
from redsm5.errors import UserError
from redsm5.families import FAMILIES

BERT = {
    "model_type": "bert",
    "num_hidden_layers": 6,
    "hidden_size": 384,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}


def test_catalog_lists_thirty_encoders_of_known_families():
    assert len(CATALOG) == 30
    assert {entry.family for entry in CATALOG.values()} == {
        "bert", "roberta", "xlm-roberta", "electra", "distilbert", "deberta-v2", "longformer", "big_bird",
    }  # fmt: skip
    assert all(id == entry.id for id, entry in CATALOG.items())
    assert all(entry.hidden % entry.heads == 0 for entry in CATALOG.values())


@pytest.mark.parametrize(
    ("id", "expected"),
    [
        ("microsoft/deberta-v3-large", ("deberta-v2", 24, 1024, 512, 0, "Unigram", True, "eager")),
        ("FacebookAI/roberta-large", ("roberta", 24, 1024, 512, 1, "BPE", True, "sdpa")),
        ("allenai/longformer-scico", ("longformer", 12, 768, 4096, 1, "BPE", True, "eager")),
        ("google/bigbird-roberta-base", ("big_bird", 12, 768, 4096, 2, "Unigram", True, "eager")),
        ("medicalai/ClinicalBERT", ("distilbert", 6, 768, 512, 0, "WordPiece", False, "sdpa")),
        ("OpenMed/OpenMed-NER-ChemicalDetect-ElectraMed-33M", ("bert", 12, 384, 512, 2, "WordPiece", False, "sdpa")),
    ],
)
def test_facts_of_the_table_need_no_file(monkeypatch, id, expected):
    monkeypatch.setattr(hub, "resolve", lambda *_, **__: pytest.fail("a file was looked for"))
    got = facts(id)
    assert (
        got.family, got.layers, got.hidden, got.context, got.token_types, got.tokenizer, got.cased, got.attention,
    ) == expected  # fmt: skip


def test_only_mental_bert_is_gated_and_only_psychbert_is_flax_alone():
    assert [id for id, entry in CATALOG.items() if entry.gated] == ["mental/mental-bert-base-uncased"]
    assert [id for id, entry in CATALOG.items() if entry.weights == ("flax",)] == ["mnaylor/psychbert-cased"]


def test_facts_of_a_folder_come_from_its_config(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(BERT))
    got = facts(str(tmp_path))
    assert (got.family, got.layers, got.hidden, got.heads, got.ffn) == ("bert", 6, 384, 12, 1536)
    assert (got.vocabulary, got.context, got.token_types) == (30522, 512, 2)
    assert (got.parameters, got.cased) == (None, None)


@pytest.mark.parametrize(
    ("changes", "context", "token_types"),
    [
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1, "type_vocab_size": 1}, 512, 1),
        ({"model_type": "longformer", "max_position_embeddings": 4098, "type_vocab_size": 1}, 4096, 1),
        ({"model_type": "roberta", "max_position_embeddings": 513, "pad_token_id": 0}, 512, 2),
        ({"model_type": "mpnet", "max_position_embeddings": 514, "pad_token_id": 1, "type_vocab_size": 0}, 512, 0),
        ({"model_type": "deberta-v2", "type_vocab_size": 0}, 512, 0),
        ({"model_type": "modernbert", "max_position_embeddings": 8192, "pad_token_id": 50283}, 8192, 2),
    ],
)
def test_context_counts_the_positions_that_tokens_can_take(changes, context, token_types):
    got = facts_of_config("x", BERT | changes)
    assert (got.context, got.token_types) == (context, token_types)


def test_distilbert_names_are_understood():
    config = {
        "model_type": "distilbert", "n_layers": 6, "dim": 768, "n_heads": 12, "hidden_dim": 3072,
        "vocab_size": 100, "max_position_embeddings": 512,
    }  # fmt: skip
    got = facts_of_config("x", config)
    assert (got.layers, got.hidden, got.heads, got.ffn, got.token_types) == (6, 768, 12, 3072, 0)


def test_config_without_model_type_is_bert_where_it_looks_like_it():
    without = {name: value for name, value in BERT.items() if name != "model_type"}
    assert facts_of_config("x", without).family == "bert"


def test_deberta_config_without_sizes_is_deberta_v3_base():
    got = facts_of_config("copy", {"model_type": "deberta-v2"})
    assert (got.id, got.layers, got.hidden, got.vocabulary) == ("copy", 12, 768, 128_100)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"a": 1}, "has no model_type"),
        (BERT | {"is_encoder_decoder": True}, "is an encoder-decoder"),
        ({k: v for k, v in BERT.items() if k != "vocab_size"}, "lacks vocab_size"),
    ],
)
def test_config_of_something_else_is_refused(config, message):
    with pytest.raises(UserError, match=message):
        facts_of_config("x", config)


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_broken_config_is_refused(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json"):
        facts(str(tmp_path))


def test_unknown_family_leaves_attention_and_names_open():
    got = facts_of_config("x", BERT | {"model_type": "albert"})
    assert "albert" not in FAMILIES
    assert (got.attention, got.attention_modules, got.ffn_modules) == ("auto", (), ())


def test_catalog_and_option_import_no_torch():
    code = (
        "import sys, redsm5.catalog, redsm5.hub, redsm5.modules.encoder, redsm5.commands.models, "
        "redsm5.datamodules.tokenizer; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
