from __future__ import annotations

import pytest
import torch
from peft import PeftModel
from peft_samples import CASES, FAMILIES, PAIRS, adapted, loss_of, random_batch, stir
from safetensors.torch import load_file

from redsm5.peft.attach import base_state, merge
from redsm5.peft.lora import LoRA
from redsm5.peft.names import part_of
from redsm5.peft.options import NoPEFT

ATTENTION, FFN = 4, 2
GLOBAL = 3
"""Linear layers of attention and of the feed-forward block in a layer; Longformer's further ones for global tokens."""

ADAPTED = {  # modules that get something, per layer: (in any family, more in Longformer)
    "lora": (2, 2),
    "lora-all": (ATTENTION + FFN, GLOBAL),
    "lora-plus": (2 + FFN, 2),
    "adalora": (ATTENTION + FFN, GLOBAL),
    "pfeiffer": (1, 0),
    "houlsby": (2, 0),
    "houlsby-parallel": (2, 0),
    "compacter": (2, 0),
    "ia3": (3, 2),
    "ia3-attention": (2, 2),
}


def states(encoder, length=12):
    encoder.eval()
    with torch.no_grad():
        return encoder(*random_batch(2, length))


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_method_changes_nothing_at_the_start_and_something_later(family, name):
    plain, encoder = adapted(family), adapted(family, CASES[name])
    # Not to the last bit: how a CPU multiplies depends on where in memory a matrix begins.
    torch.testing.assert_close(states(encoder), states(plain), rtol=0, atol=1e-6)
    stir(encoder)
    assert not torch.allclose(states(encoder), states(plain), atol=1e-3)


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_method_trains_what_it_adds_and_no_more(family, name):
    encoder, plain = adapted(family, CASES[name]), adapted(family)
    trained = {n for n, p in encoder.named_parameters() if p.requires_grad}
    own = {n for n in trained if part_of(n) is None}
    biases = {n for n in encoder.state_dict() if n.endswith(".bias") and part_of(n) is None}
    bias = getattr(CASES[name], "bias", "none")
    assert own == {"none": set(), "lora_only": {n for n in biases if "base_layer" in n}, "all": biases}[bias]
    frozen = {n for n, p in encoder.named_parameters() if not p.requires_grad}
    assert {n for n in frozen if part_of(n) is not None} == set()
    per_layer, more = ADAPTED[name]
    modules = [m for m in encoder.modules() if hasattr(m, "base_layer")]
    assert len(modules) == len(encoder.layers) * (per_layer + more * (family == "longformer"))
    before = {n: t.clone() for n, t in base_state(encoder).items()}
    assert before.keys() == plain.state_dict().keys()
    assert all(torch.equal(before[n], t) for n, t in plain.state_dict().items())


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_gradients_reach_all_that_was_added_and_five_steps_lower_the_loss(family, name):
    encoder = adapted(family, CASES[name])
    frozen = {n: p.clone() for n, p in encoder.named_parameters() if not p.requires_grad}
    optimizer = torch.optim.Adam([p for p in encoder.parameters() if p.requires_grad], lr=0.02)
    torch.manual_seed(0)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = loss_of(encoder)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    # From the second step on: at the first one the zero in front stops gradients.
    for n, p in encoder.named_parameters():
        if part_of(n) is not None:
            assert p.grad is not None, n
            assert torch.isfinite(p.grad).all(), n
            assert p.grad.abs().max() > 0, n
    assert all(torch.equal(frozen[n], p) for n, p in encoder.named_parameters() if n in frozen)


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_gradient_checkpointing_leaves_gradients_as_they_are_and_stays_above_frozen_embeddings(family, name):
    gradients = []
    for checkpointing in (False, True):
        encoder = adapted(family, CASES[name], gradient_checkpointing=checkpointing)
        stir(encoder)
        outputs = []
        hook = encoder.layers[0].register_forward_pre_hook(lambda _, args, seen=outputs: seen.append(args[0]))
        torch.manual_seed(3)
        loss_of(encoder, length=40).backward()
        hook.remove()
        if getattr(CASES[name], "bias", "none") != "all":  # these train the bias of the embeddings' norm
            assert not outputs[0].requires_grad
        gradients.append({n: p.grad for n, p in encoder.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for n, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][n], atol=1e-6), n


@pytest.mark.parametrize(("family", "name"), PAIRS)
def test_saved_adapter_gives_the_same_states_and_holds_no_base_weight(family, name, tmp_path):
    encoder = adapted(family, CASES[name])
    stir(encoder)
    encoder.model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(t.numel() for t in saved.values()) == sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    own = {n.removeprefix("model.") for n, p in encoder.named_parameters() if part_of(n) is None and p.requires_grad}
    assert {n for n in saved if part_of(n) is None} == own  # the biases that it was told to train

    again = adapted(family)
    again.model = PeftModel.from_pretrained(again.model, tmp_path)
    loaded = again.state_dict()
    assert all(torch.equal(loaded[n], t) for n, t in encoder.state_dict().items())
    # In float32 the kernels of Longformer differ by 1e-6 with where a tensor lies in memory.
    assert torch.allclose(states(again.double()), states(encoder.double()), atol=1e-6)


@pytest.mark.parametrize(("family", "name"), [p for p in PAIRS if CASES[p.values[1]].mergeable])
def test_merged_method_is_the_plain_architecture_with_the_same_states(family, name):
    encoder = adapted(family, CASES[name])
    stir(encoder)
    before = states(encoder, length=40)
    merge(encoder)
    assert encoder.state_dict().keys() == adapted(family).state_dict().keys()
    assert torch.allclose(states(encoder, length=40), before, atol=1e-4)


@pytest.mark.parametrize("name", ["pfeiffer", "houlsby", "houlsby-parallel", "compacter"])
def test_bottleneck_adapters_can_be_switched_off_doubled_deleted_and_taken_off(name):
    encoder, plain = adapted("bert", CASES[name]), adapted("bert")
    stir(encoder)
    model, one = encoder.model, states(encoder)
    with model.disable_adapter():
        assert torch.equal(states(encoder), states(plain))
    model.add_adapter("other", model.peft_config["default"])
    assert torch.equal(states(encoder), one)
    model.set_adapter("other")
    assert torch.equal(states(encoder), states(plain))  # a new one starts as identity
    assert not any(p.requires_grad for n, p in encoder.named_parameters() if ".default." in n)
    model.delete_adapter("other")
    model.set_adapter("default")
    assert torch.equal(states(encoder), one)
    with pytest.raises(NotImplementedError, match="cannot be merged"):
        model.merge_and_unload()
    encoder.model = model.unload()
    assert torch.equal(states(encoder), states(plain))
    assert encoder.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize("family", FAMILIES)
def test_methods_work_in_bfloat16(family):
    for name in ("lora-all", "houlsby-parallel", "compacter", "pfeiffer", "ia3"):
        encoder = adapted(family, CASES[name])
        stir(encoder)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(encoder)
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)


def test_no_peft_leaves_the_encoder_as_it_is():
    encoder = adapted("bert", NoPEFT())
    assert not hasattr(encoder.model, "peft_config")
    assert all(p.requires_grad for p in encoder.parameters())


def test_layers_are_counted_from_the_top():
    encoder = adapted("bert", LoRA(r=2, layers="top_4"), layers=12)
    numbers = {int(n.split(".layer.")[1].split(".")[0]) for n, p in encoder.named_parameters() if p.requires_grad}
    assert numbers == {8, 9, 10, 11}
