import math

import numpy as np
import pytest
import torch
from encoder_samples import FAMILIES, save_tiny
from torch.nn import functional as F

from redsm5.modules.encoder import Encoder
from redsm5.modules.mlm import MLMNetwork, own_text_mask
from redsm5.peft.methods import LoRA, NoPEFT
from redsm5.pretraining.batch import MaskedBatch
from redsm5.pretraining.packing import PACKABLE

PACKED = sorted(PACKABLE)


def batch_of(texts, *, packed, length=24):
    """Texts in a row each, or all in one; every other token is to be predicted."""
    if not packed:
        ids = torch.ones(len(texts), max(map(len, texts)), dtype=torch.long)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for i, text in enumerate(texts):
            ids[i, : len(text)], mask[i, : len(text)] = torch.tensor(text), 1
            labels[i, : len(text) : 2] = torch.tensor(text[::2])
        return MaskedBatch(ids, mask, labels)
    sizes = [len(text) for text in texts]
    fill = length - sum(sizes)
    ids = torch.tensor([[token for text in texts for token in text] + [1] * fill])
    segments = torch.from_numpy(np.repeat(np.arange(1, len(texts) + 1), sizes))
    segments = F.pad(segments, (0, fill))[None]
    positions = torch.cat([*(torch.arange(size) for size in sizes), torch.zeros(fill, dtype=torch.long)])[None]
    labels = torch.where((segments > 0) & (positions % 2 == 0), ids, -100)
    return MaskedBatch(ids, (segments > 0).long(), labels, segments, positions)


@pytest.mark.parametrize("family", PACKED)
def test_text_in_a_packed_row_has_the_logits_that_it_has_alone(family, tmp_path):
    save_tiny(family, tmp_path)
    network = MLMNetwork(Encoder(str(tmp_path)), NoPEFT()).eval()
    texts = [[10, 11, 12, 13, 14], [20, 21, 22], [30, 31, 32, 33, 34, 35, 36]]
    with torch.no_grad():
        alone = network(batch_of(texts, packed=False))
        together = network(batch_of(texts, packed=True))
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", PACKED)
def test_no_gradient_flows_from_one_text_of_a_row_to_another(family, tmp_path):
    save_tiny(family, tmp_path)
    network = MLMNetwork(Encoder(str(tmp_path)), NoPEFT()).eval()
    batch = batch_of([[10, 11, 12, 13, 14], [20, 21, 22, 23]], packed=True)
    batch.labels[:, 5:] = -100
    network(batch).sum().backward()
    words = network.encoder.model.get_input_embeddings().weight.grad
    # The table is also the last layer, which reaches every row: of the input, only what a token's own row adds differs.
    network.zero_grad()
    changed = batch_of([[10, 11, 12, 13, 14], [40, 41, 42, 43]], packed=True)
    changed.labels[:, 5:] = -100
    network(changed).sum().backward()
    torch.testing.assert_close(network.encoder.model.get_input_embeddings().weight.grad, words)


def test_families_that_cannot_pack_are_not_on_the_list():
    assert {"deberta-v2", "longformer", "big_bird"}.isdisjoint(PACKABLE)
    assert set(FAMILIES) - {"deberta-v2", "longformer", "big_bird"} <= set(PACKABLE)


def test_mask_of_own_texts_by_hand():
    mask = own_text_mask(torch.tensor([[1, 1, 2, 0]]))
    assert mask[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_lora_trains_with_the_head_and_folds_into_the_plain_encoder(tiny_encoder):
    from redsm5.modules.mlm import MLMModule
    from redsm5.optim.optimizers import AdamW

    module = MLMModule(Encoder(str(tiny_encoder)), AdamW(), LoRA(r=4, targets="all"))
    module.network, module._built = MLMNetwork(module.encoder_option, module.peft_option).eval(), True
    trained = {name for name, p in module.network.named_parameters() if p.requires_grad}
    assert {name for name in trained if name.startswith("encoder.")} == {name for name in trained if "lora_" in name}
    assert {f"head.{name}" for name, _ in module.network.head.named_parameters()} <= trained
    for name, parameter in module.network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    batch = batch_of([[10, 11, 12, 13, 14]], packed=False)
    with torch.no_grad():
        with_lora = module.network.encoder(batch.input_ids, batch.attention_mask)
        folded = module.trained_encoder()
        plain = folded.model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)[0]
    assert type(folded.model).__name__ == "BertModel"
    torch.testing.assert_close(plain, with_lora, atol=1e-5, rtol=1e-4)
    assert any("lora_" in name for name, _ in module.network.encoder.named_parameters()), "the training goes on with it"


def test_fresh_head_starts_near_the_loss_of_a_uniform_guess(tiny_encoder):
    network = MLMNetwork(Encoder(str(tiny_encoder)), NoPEFT()).eval()
    batch = batch_of([[10, 11, 12, 13, 14]], packed=False)
    with torch.no_grad():
        loss = F.cross_entropy(network(batch), batch.labels[batch.labels != -100])
    assert loss.item() == pytest.approx(math.log(network.encoder.vocabulary), abs=0.5)
