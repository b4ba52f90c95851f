"""Every trap of the thirty encoders that concerns loading, by the encoder's own id, from the stand-in for the hub.

The files have the shapes of the real ones, the sizes are tiny. What each case shows:

| encoder | trap | case |
|---|---|---|
| nvidia/quality-classifier-deberta | keys start with ``model.`` | `wrapper_prefix` |
| the same | config.json without sizes | `config_without_sizes` |
| DeBERTa-v3, SpanBERT, OpenMed | half-precision files load in half precision | `half_precision` |
| SpanBERT, BioBERT large | vocab.txt alone: lower case, no length limit | `vocab_alone` |
| DeBERTa-v3, BigBird | a SentencePiece file alone | `sentencepiece_alone` |
| DeBERTa-v3 | its NFKC table is dropped | `nfkc_table` |
| OpenMed ElectraMed | model_type bert under an electra name | `electra_by_name_alone` |
| DeBERTa-v3 | a generator's head and file beside the encoder | `discriminator_head` |
| SpanBERT, RoBERTa, XLM-R | no pooler in the file | `pooler_missing` |
| RoBERTa, XLM-R, Longformer | positions from 2, one token type | `positions_and_types` |
| Longformer | its own projections for global attention | `global_projections` |
| longformer-scico | added_tokens.json, label2id of strings | `added_tokens` |
| BigBird | line breaks unknown, full attention for good | `line_breaks_and_attention` |
| BioBERT large | no model_type | `no_model_type` |
| medicalai/ClinicalBERT | DistilBERT that lowercases over a cased vocabulary | `clinicalbert` |
| mnaylor/psychbert-cased | Flax weights alone | `flax_alone` |
| 18 of the 30 | pickles alone; a request for a conversion in the background | `pickles` |
| old checkpoints | gamma and beta, a head, missing weights | `old_names` |
| mental/mental-bert-base-uncased | gated | `gated` |

Without a case, since nothing of it is met on loading: the weak long positions of the two extra.pos.embd.only (they load
as any Longformer does), masked-LM heads (none is loaded here), and licences.
"""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
import torch
from encoder_samples import edit_config, random_batch, save_tiny
from hub_server import GRANTED
from safetensors.torch import load_file, save_file
from tokenizer_samples import write_sentencepiece, write_vocab_and_merges, write_vocab_txt
from transformers import AutoModelForMaskedLM, DebertaV2Config

from redsm5 import hub
from redsm5.catalog import CATALOG
from redsm5.datamodules.tokenizer import check_vocabulary, load_tokenizer
from redsm5.errors import UserError
from redsm5.modules.encoder import Encoder
from redsm5.modules.encoder_model import EncoderModel

NVIDIA = "nvidia/quality-classifier-deberta"
V3_BASE, V3_LARGE = "microsoft/deberta-v3-base", "microsoft/deberta-v3-large"
SPANBERT, BIOBERT_LARGE = "SpanBERT/spanbert-base-cased", "dmis-lab/biobert-large-cased-v1.1"
SCICO, LONGFORMER = "allenai/longformer-scico", "allenai/longformer-base-4096"
BIGBIRD, XLM_R, ROBERTA = "google/bigbird-roberta-base", "FacebookAI/xlm-roberta-base", "FacebookAI/roberta-large"
ELECTRA_MED = "OpenMed/OpenMed-NER-ChemicalDetect-ElectraMed-33M"
CLINICAL, MENTAL, PSYCH = "medicalai/ClinicalBERT", "mental/mental-bert-base-uncased", "mnaylor/psychbert-cased"


def same_weights(encoder: EncoderModel, saved: torch.nn.Module) -> bool:
    own, expected = encoder.model.state_dict(), saved.state_dict()
    return all(torch.equal(value, expected[name].float()) for name, value in own.items())


def edit_weights(folder: Path, change) -> None:
    """Rewrite the weight file of a folder, of either kind."""
    path = folder / "model.safetensors"
    if path.exists():
        save_file(change(load_file(path)), path, metadata={"format": "pt"})
    else:
        path = folder / "pytorch_model.bin"
        torch.save(change(torch.load(path)), path)


def test_wrapper_prefix(hub_server, tmp_path):
    saved = save_tiny("deberta-v2", tmp_path)
    head = {"fc.weight": torch.zeros(3, 32), "fc.bias": torch.zeros(3)}
    edit_weights(tmp_path, lambda state: {f"model.{name}": value for name, value in state.items()} | head)
    hub_server.add(NVIDIA, tmp_path)
    assert same_weights(Encoder(NVIDIA).build(), saved)


def test_config_without_sizes(hub_server, tmp_path):
    """The default sizes of transformers would be those of DeBERTa-v2 xlarge."""
    assert DebertaV2Config().hidden_size == 1536
    hub_server.add(
        NVIDIA, {"config.json": json.dumps({"model_type": "deberta-v2", "id2label": {"0": "High"}}).encode()}
    )
    hub.resolve(NVIDIA, None, allow=hub.CONFIG)
    with torch.device("meta"):
        encoder = Encoder(NVIDIA, random_weights=True).build()
    assert (encoder.hidden_size, len(encoder.layers), encoder.vocabulary) == (768, 12, 128_100)
    assert encoder.config.relative_attention is True
    assert encoder.config.position_buckets == 256


@pytest.mark.parametrize(("id", "family", "pickle"), [(V3_BASE, "deberta-v2", True), (SPANBERT, "bert", True),
                                                      (ELECTRA_MED, "bert", False)])  # fmt: skip
def test_half_precision(hub_server, tmp_path, id, family, pickle):
    saved = save_tiny(family, tmp_path, pickle=pickle, dtype=torch.float16)
    hub_server.add(id, tmp_path)
    encoder = Encoder(id).build()
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert same_weights(encoder, saved)


@pytest.mark.parametrize("id", [SPANBERT, "SpanBERT/spanbert-large-cased", BIOBERT_LARGE, "dmis-lab/biobert-v1.1"])
def test_vocab_alone(hub_server, tmp_path, id):
    write_vocab_txt(tmp_path, lowercase=False)
    hub_server.add(id, tmp_path)
    tokenizer = load_tokenizer(id)
    assert tokenizer.tokenize("Anna never") == ["Anna", "never"]
    assert tokenizer.model_max_length == 512


@pytest.mark.parametrize(("id", "name", "family"), [(V3_BASE, "spm.model", "deberta-v2"),
                                                    (V3_LARGE, "spm.model", "deberta-v2"),
                                                    (BIGBIRD, "spiece.model", "big_bird")])  # fmt: skip
def test_sentencepiece_alone(hub_server, tmp_path, id, name, family):
    reference = write_sentencepiece(tmp_path, name, family, rule="identity")
    hub_server.add(id, tmp_path)
    text = "I never sleep, said Anna in Berlin!"
    assert load_tokenizer(id)(text, add_special_tokens=False)["input_ids"] == reference.encode(text)
    assert hub_server.fetched() == {"config.json", name}


def test_nfkc_table(hub_server, tmp_path):
    reference = write_sentencepiece(tmp_path, "spm.model", "deberta-v2")
    hub_server.add(V3_BASE, tmp_path)
    text = "ﬁnd ＡＢＣ\u00a0food… ½"
    encoded = load_tokenizer(V3_BASE)(text, add_special_tokens=False, return_offsets_mapping=True)
    assert encoded["input_ids"] == reference.encode(text)
    assert text[slice(*encoded["offset_mapping"][0])] == "ﬁnd"


def test_electra_by_name_alone(hub_server, tmp_path):
    saved = save_tiny("bert", tmp_path)
    hub_server.add(ELECTRA_MED, tmp_path)
    encoder = Encoder(ELECTRA_MED).build()
    assert same_weights(encoder, saved)
    assert encoder.config.model_type == CATALOG[ELECTRA_MED].family == "bert"
    names = {name for name, _ in encoder.model.named_modules()}
    assert any(re.fullmatch(CATALOG[ELECTRA_MED].attention_modules[0], name) for name in names)


def test_discriminator_head(hub_server, tmp_path):
    saved = save_tiny("deberta-v2", tmp_path, pickle=True)
    head = {"lm_predictions.lm_head.bias": torch.zeros(50), "mask_predictions.classifier.weight": torch.zeros(1, 32)}
    edit_weights(tmp_path, lambda state: {f"deberta.{name}": value for name, value in state.items()} | head)
    (tmp_path / "pytorch_model.generator.bin").write_bytes(b"another model")
    hub_server.add(V3_LARGE, tmp_path)
    assert same_weights(Encoder(V3_LARGE).build(), saved)
    assert hub_server.fetched() == {"config.json", "pytorch_model.bin"}


@pytest.mark.parametrize(("id", "family"), [(SPANBERT, "bert"), (ROBERTA, "roberta"), (XLM_R, "xlm-roberta")])
def test_pooler_missing(hub_server, tmp_path, id, family):
    saved = save_tiny(family, tmp_path)
    edit_weights(tmp_path, lambda state: {name: v for name, v in state.items() if not name.startswith("pooler.")})
    hub_server.add(id, tmp_path)
    encoder = Encoder(id).build()
    assert same_weights(encoder, saved)
    assert not [name for name, _ in encoder.named_parameters() if "pooler" in name]


@pytest.mark.parametrize(("id", "family"), [(ROBERTA, "roberta"), (XLM_R, "xlm-roberta"), (LONGFORMER, "longformer")])
def test_positions_and_types(hub_server, tmp_path, id, family):
    save_tiny(family, tmp_path)
    hub_server.add(id, tmp_path)
    encoder = Encoder(id).build().eval()
    assert encoder.config.max_position_embeddings == encoder.context + 2
    ids, mask = random_batch(1, encoder.context)
    with torch.no_grad():
        plain, typed = encoder(ids, mask), encoder(ids, mask, torch.ones_like(ids))
    assert torch.equal(plain, typed)
    with pytest.raises(ValueError, match="reads at most 64"):
        encoder(*random_batch(1, encoder.context + 1))


def test_global_projections(hub_server, tmp_path):
    """RoBERTa's tokenizer is what comes back for LongformerTokenizer, which is gone."""
    write_vocab_and_merges(tmp_path)
    saved = save_tiny("longformer", tmp_path, pickle=True)
    hub_server.add(LONGFORMER, tmp_path)
    encoder = Encoder(LONGFORMER).build()
    assert same_weights(encoder, saved)
    assert "encoder.layer.1.attention.self.query_global.weight" in encoder.model.state_dict()
    tokenizer = load_tokenizer(LONGFORMER)
    assert tokenizer.model_max_length == 4096
    assert "token_type_ids" not in tokenizer("I", "5")
    edit_weights(tmp_path, lambda state: {name: value for name, value in state.items() if "query_global" not in name})
    hub_server.add("owner/without-global", tmp_path)
    with pytest.raises(UserError, match=r"lacks 4 of its weights \(encoder\.layer\.0\.attention\.self\.query_global"):
        Encoder("owner/without-global").build()


def test_added_tokens(hub_server, tmp_path):
    write_vocab_and_merges(tmp_path)
    size = len(json.loads((tmp_path / "vocab.json").read_text()))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<m>": size, "</m>": size + 1}))
    saved = save_tiny("longformer", tmp_path)
    edit_config(tmp_path, label2id={"a": "0", "b": "1"}, id2label={"0": 3})
    hub_server.add(SCICO, tmp_path)
    tokenizer = load_tokenizer(SCICO)
    assert tokenizer.convert_tokens_to_ids(["<m>", "</m>"]) == [size, size + 1]
    assert [token for token in tokenizer.tokenize("I <m>food</m>") if "m>" in token] == ["<m>", "</m>"]
    check_vocabulary(tokenizer, size + 2, SCICO)
    with pytest.raises(UserError, match=f"has {size + 2} tokens and its encoder knows {size}"):
        check_vocabulary(tokenizer, size, SCICO)
    assert same_weights(Encoder(SCICO).build(), saved)


def test_line_breaks_and_attention(hub_server, tmp_path):
    write_sentencepiece(tmp_path, "spiece.model", "big_bird", rule="identity")
    saved = save_tiny("big_bird", tmp_path, pickle=True)
    hub_server.add(BIGBIRD, tmp_path)
    tokenizer = load_tokenizer(BIGBIRD)
    encoded = tokenizer("never\nsleep", add_special_tokens=False, return_offsets_mapping=True)
    assert tokenizer.unk_token_id not in encoded["input_ids"]
    assert encoded["offset_mapping"][-1][1] == len("never\nsleep")
    encoder = Encoder(BIGBIRD).build().eval()
    assert same_weights(encoder, saved)
    with torch.no_grad():
        encoder(*random_batch(1, 10))
        encoder(*random_batch(1, 40))
    assert encoder.model.attention_type == "block_sparse"


def test_no_model_type(hub_server, tmp_path):
    write_vocab_txt(tmp_path, lowercase=False)
    saved = save_tiny("bert", tmp_path, pickle=True)
    edit_config(tmp_path, remove=("model_type", "architectures"))
    hub_server.add(BIOBERT_LARGE, tmp_path)
    assert same_weights(Encoder(BIOBERT_LARGE).build(), saved)
    assert load_tokenizer(BIOBERT_LARGE).tokenize("Anna never") == ["Anna", "never"]


def test_clinicalbert(hub_server, tmp_path):
    write_vocab_txt(tmp_path, lowercase=False, config={"model_type": "distilbert"})
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": True}))
    saved = save_tiny("distilbert", tmp_path, pickle=True)
    hub_server.add(CLINICAL, tmp_path)
    encoder = Encoder(CLINICAL).build()
    assert same_weights(encoder, saved)
    assert encoder.token_types == 0
    assert load_tokenizer(CLINICAL).tokenize("NEVER sleep") == ["never", "sleep"]


def test_flax_alone(hub_server, tmp_path):
    save_tiny("bert", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "flax_model.msgpack")
    hub_server.add(PSYCH, tmp_path)
    with pytest.raises(UserError, match=r"only Flax weights.*use mnaylor/psychbert-finetuned-mentalhealth or"):
        Encoder(PSYCH).build()
    assert hub_server.requests == []


def test_pickles(hub_server, tmp_path):
    """Nothing in them is run, and the hub is asked for files alone: no conversion, no pull request."""
    saved = save_tiny("bert", tmp_path, pickle=True)
    hub_server.add("google-bert/bert-base-uncased", tmp_path)
    assert same_weights(Encoder("google-bert/bert-base-uncased").build(), saved)
    time.sleep(0.2)  # the request would come from a thread
    known = r"/api/models/[^/]+/[^/]+/(revision|tree)/|/resolve/|/store/|/api/agent-harnesses"
    assert [request for request in hub_server.requests if not re.search(known, request)] == []

    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(marker),))

    edit_weights(tmp_path, lambda state: state | {"pooler.dense.bias": Evil()})
    hub_server.add("owner/evil", tmp_path)
    with pytest.raises(UserError, match="cannot read the weights of owner/evil"):
        Encoder("owner/evil").build()
    assert not marker.exists()


def test_old_names(hub_server, tmp_path):
    torch.manual_seed(0)
    config = save_tiny("bert", tmp_path, pickle=True).config
    model = AutoModelForMaskedLM.from_config(config)
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = {re.sub("|".join(old), lambda m: old[m[0]], name): value for name, value in model.state_dict().items()}
    torch.save(state, tmp_path / "pytorch_model.bin")
    hub_server.add("owner/old", tmp_path)
    assert same_weights(Encoder("owner/old").build(), model.base_model)
    torch.save({n: v for n, v in state.items() if "layer.0.output.LayerNorm" not in n}, tmp_path / "pytorch_model.bin")
    hub_server.add("owner/torn", tmp_path)
    with pytest.raises(UserError, match=r"lacks 2 of its weights \(encoder\.layer\.0\.output\.LayerNorm\.bias"):
        Encoder("owner/torn").build()


def test_gated(hub_server, tmp_path, monkeypatch):
    write_vocab_txt(tmp_path, lowercase=True)
    saved = save_tiny("bert", tmp_path, pickle=True)
    hub_server.add(MENTAL, tmp_path, gated=True)
    for load in (load_tokenizer, lambda id: Encoder(id).build()):
        with pytest.raises(UserError, match=f"{MENTAL} is gated: accept the terms"):
            load(MENTAL)
    monkeypatch.setenv("HF_TOKEN", GRANTED)
    assert same_weights(Encoder(MENTAL).build(), saved)
    assert load_tokenizer(MENTAL).tokenize("NEVER sleep") == ["never", "sleep"]
