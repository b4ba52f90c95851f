import pytest
import torch
from encoder_samples import FAMILIES, random_batch, tiny_config
from transformers import AutoModelForMaskedLM

from redsm5.modules.encoder import Encoder
from redsm5.modules.mlm import MLMNetwork
from redsm5.peft.methods import NoPEFT
from redsm5.pretraining.batch import MaskedBatch


def save_masked_lm(family, folder, *, pickle=False):
    """A release: encoder and masked-LM head as transformers saves them, with heads that are not zero."""
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(tiny_config(family)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    if pickle:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_head_of_the_release_gives_the_logits_of_transformers(family, tmp_path):
    theirs = save_masked_lm(family, tmp_path)
    network = MLMNetwork(Encoder(str(tmp_path)), NoPEFT()).eval()
    assert network.pretrained_head
    ids, mask = random_batch(2, 24)
    labels = torch.full_like(ids, -100)
    labels[:, 3:9] = ids[:, 3:9]
    more = {}
    if family == "longformer":
        more["global_attention_mask"] = torch.zeros_like(ids).index_fill(1, torch.tensor([0]), 1)
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask, **more).logits[labels != -100]
        ours = network(MaskedBatch(ids, mask, labels))
    torch.testing.assert_close(ours, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("archive", [True, False])
def test_head_is_read_from_pickled_weights_with_old_names(archive, tmp_path):
    theirs = save_masked_lm("bert", tmp_path, pickle=True)
    path = tmp_path / "pytorch_model.bin"
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    state = torch.load(path, weights_only=True)
    for new, name in old.items():
        state = {key.replace(new, name): value for key, value in state.items()}
    torch.save(state, path, _use_new_zipfile_serialization=archive)
    network = MLMNetwork(Encoder(str(tmp_path)), NoPEFT())
    assert network.pretrained_head
    assert torch.equal(network.head.norm.weight, theirs.cls.predictions.transform.LayerNorm.weight)


def test_encoder_without_a_head_gets_a_fresh_one(tiny_encoder):
    network = MLMNetwork(Encoder(str(tiny_encoder)), NoPEFT())
    assert not network.pretrained_head
    assert network.head.bias.abs().sum() == 0
    assert network.head.dense.weight.std().item() == pytest.approx(0.02, rel=0.2)
