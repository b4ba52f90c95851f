"""Encoders of every family and file kind, by their hub id, from the stand-in for the hub: as a user loads them."""

from __future__ import annotations

import pytest
import torch
from encoder_samples import FAMILIES, save_tiny, tiny_config
from huggingface_hub import constants
from transformers import AutoModelForMaskedLM

from redsm5.errors import UserError
from redsm5.modules.encoder import Encoder


def assert_loaded(id: str, saved: dict[str, torch.Tensor], revision: str | None = None) -> None:
    """Every weight of the encoder equals the one that was saved, in float32; a pooler is left out."""
    loaded = Encoder(id, revision=revision).build().model.state_dict()
    expected = {name: value.float() for name, value in saved.items() if not name.startswith("pooler.")}
    assert loaded.keys() == expected.keys()
    for name, value in loaded.items():
        assert value.dtype == torch.float32 or not value.is_floating_point()
        assert torch.equal(value, expected[name]), name


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_weights_of_the_hub_are_those_that_were_saved(hub_server, tmp_path, family, dtype, file):
    saved = save_tiny(family, tmp_path, pickle=file.endswith("bin"), dtype=dtype).state_dict()
    hub_server.add("owner/name", tmp_path)
    assert_loaded("owner/name", saved)
    assert hub_server.fetched() == {"config.json", file}


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_beside_a_head_and_in_parts_are_those_that_were_saved(hub_server, tmp_path, family):
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(tiny_config(family))
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    hub_server.add("owner/name", tmp_path)
    assert_loaded("owner/name", model.base_model.state_dict())


def test_missing_weights_are_an_error_by_hub_id_too(hub_server, tmp_path):
    saved = save_tiny("roberta", tmp_path, pickle=True).state_dict()
    torch.save({n: v for n, v in saved.items() if "layer.1.output" not in n}, tmp_path / "pytorch_model.bin")
    hub_server.add("owner/name", tmp_path)
    with pytest.raises(UserError, match=r"the weight file of owner/name lacks 4 of its weights"):
        Encoder("owner/name").build()


def test_weights_of_a_revision_are_those_of_that_revision(hub_server, tmp_path):
    first = save_tiny("bert", tmp_path / "1").state_dict()
    second = {name: value + 1 if value.is_floating_point() else value for name, value in first.items()}
    save_tiny("bert", tmp_path / "2", state=second)
    older = hub_server.add("owner/name", tmp_path / "1", "v1")
    newer = hub_server.add("owner/name", tmp_path / "2")
    for revision, saved in {"v1": first, None: second, older: first, newer: second}.items():
        assert_loaded("owner/name", saved, revision)


def test_weights_load_offline_from_a_warm_cache_without_a_request(hub_server, tmp_path, monkeypatch):
    saved = save_tiny("deberta-v2", tmp_path, pickle=True).state_dict()
    hub_server.add("owner/name", tmp_path)
    Encoder("owner/name").build()
    hub_server.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert_loaded("owner/name", saved)
    assert hub_server.requests == []


def test_flax_weights_alone_are_refused_and_not_fetched(hub_server, tmp_path):
    save_tiny("bert", tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "flax_model.msgpack")
    hub_server.add("owner/name", tmp_path)
    with pytest.raises(UserError, match=r"owner/name holds no model\.safetensors or pytorch_model\.bin"):
        Encoder("owner/name").build()
    assert hub_server.fetched() == {"config.json"}
