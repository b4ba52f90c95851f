from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from encoder_samples import FAMILIES, random_batch, tiny_config
from transformers import AutoModel

from redsm5.modules.encoder_build import wrap
from redsm5.modules.encoder_model import EncoderModel


def make(family: str, *, gradient_checkpointing: bool = False, **changes: object) -> EncoderModel:
    torch.manual_seed(0)
    config = tiny_config(family)
    for name, value in changes.items():
        setattr(config, name, value)
    return wrap(AutoModel.from_config(config), gradient_checkpointing=gradient_checkpointing)


@pytest.mark.parametrize("family", FAMILIES)
def test_encoder_gives_one_state_per_token_and_gradients_to_every_layer(family):
    encoder = make(family)
    states = encoder(*random_batch(3, 11))
    assert states.shape == (3, 11, encoder.hidden_size)
    assert encoder.hidden_size == 32
    assert encoder.vocabulary == 50
    assert encoder.training
    states.square().sum().backward()
    for module in (encoder.embeddings, *encoder.layers):
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        assert gradients
        assert all(torch.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("length", "padded"), [(7, 12), (9, 30)])
def test_encoder_is_not_changed_by_padding(family, length, padded):
    encoder = make(family).eval()
    ids, mask = random_batch(2, length)
    if family == "big_bird" and padded > encoder.longest_full:
        padded = (
            encoder.longest_full
        )  # beyond it, attention is block-sparse, and its blocks depend on the padded length
    more = padded - length
    padding = encoder.config.pad_token_id
    with torch.no_grad():
        plain = encoder(ids, mask)
        wide = encoder(torch.nn.functional.pad(ids, (0, more), value=padding), torch.nn.functional.pad(mask, (0, more)))
    assert torch.allclose(plain, wide[:, :length], atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("length", [9, 40])
def test_encoder_runs_in_bfloat16_with_padding_and_gradients(family, length):
    encoder = make(family, gradient_checkpointing=True).eval()
    ids, mask = random_batch(2, length)
    mask[1, 5:] = 0
    ids[1, 5:] = encoder.config.pad_token_id
    with torch.no_grad():
        exact = encoder(ids, mask)
    encoder.train()
    for module in encoder.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = encoder(ids, mask)
    states.float().square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters() if p.grad is not None)
    kept = mask.bool()
    if family == "big_bird" and length > encoder.longest_full:
        kept[1] = False  # block-sparse attention of a trained batch draws other blocks than that of an evaluated one
    assert torch.allclose(states.float()[kept], exact[kept], atol=0.1)


@pytest.mark.parametrize("family", FAMILIES)
def test_encoder_lists_its_layers_bottom_up(family):
    encoder = make(family).eval()
    ids, mask = random_batch(1, 6)
    seen: list[int] = []
    for index, layer in enumerate(encoder.layers):
        layer.register_forward_hook(lambda *_, index=index: seen.append(index))
    encoder(ids, mask)
    assert seen == [0, 1]
    word_table = encoder.model.get_input_embeddings()
    assert any(module is word_table for module in encoder.embeddings.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_encoder_refuses_a_window_beyond_its_context(family):
    encoder = make(family)
    assert encoder.context == 64
    assert encoder(*random_batch(1, 64)).shape[1] == 64
    with pytest.raises(ValueError, match="65 tokens; this encoder reads at most 64"):
        encoder(*random_batch(1, 65))


@pytest.mark.parametrize("family", FAMILIES)
def test_encoder_gives_token_types_only_where_there_are_two(family):
    encoder = make(family).eval()
    ids, mask = random_batch(2, 6)
    types = torch.tensor([[0, 0, 0, 1, 1, 1]] * 2)
    with torch.no_grad():
        plain, typed = encoder(ids, mask), encoder(ids, mask, types)
    assert torch.equal(plain, typed) == (family not in {"bert", "electra", "big_bird"})


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_leaves_gradients_as_they_are(family):
    plain = make(family)
    checkpointed = wrap(copy.deepcopy(plain.model), gradient_checkpointing=True)
    ids, mask = random_batch(2, 40)  # for BigBird in the range of block-sparse attention
    counts, gradients = [], []
    for encoder in (plain, checkpointed):
        calls: list[int] = []
        linear = next(module for module in encoder.layers[0].modules() if isinstance(module, torch.nn.Linear))
        linear.register_forward_pre_hook(lambda *_, calls=calls: calls.append(1))
        torch.manual_seed(3)  # the same dropout masks in both
        encoder(ids, mask).square().sum().backward()
        counts.append(len(calls))
        gradients.append({name: p.grad for name, p in encoder.named_parameters() if p.grad is not None})
    assert counts[1] == 2 * counts[0]  # computed again in the backward pass
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=1e-6), name


def test_gradient_checkpointing_sends_no_gradient_through_frozen_layers():
    encoder = make("bert", gradient_checkpointing=True)
    encoder.embeddings.requires_grad_(False)
    encoder.layers[0].requires_grad_(False)
    inputs: list[torch.Tensor] = []
    encoder.layers[1].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    encoder(*random_batch(1, 5)).sum().backward()
    assert not inputs[0].requires_grad
    assert all(p.grad is not None for p in encoder.layers[1].parameters())


def test_longformer_attends_globally_from_the_first_and_the_marked_tokens():
    encoder = make("longformer").eval()
    ids, mask = random_batch(1, 48)
    marked = torch.zeros(1, 48, dtype=torch.bool)
    marked[0, 3] = True
    other = ids.clone()
    other[0, 40] = (ids[0, 40] + 1 - 5) % 45 + 5

    def change(position: int, global_mask: torch.Tensor | None) -> float:
        """How far a token far outside the local window, in one layer, reaches a position."""
        with torch.no_grad():
            a, b = (encoder(x, mask, None, global_mask) for x in (ids, other))
        return float((a - b)[0, position].abs().max())

    encoder.model.encoder.layer = encoder.model.encoder.layer[:1]
    assert change(0, None) > 1e-6
    assert change(3, None) == 0.0
    assert change(3, marked) > 1e-6
    assert change(20, marked) == 0.0
    assert not marked[0, 0]  # the caller's mask is left alone


def test_longformer_takes_no_padding_for_a_global_token():
    encoder = make("longformer").eval()
    ids, mask = random_batch(2, 20)
    mask[1, 12:] = 0
    everything = torch.ones(2, 20, dtype=torch.bool)
    with torch.no_grad():
        both = encoder(ids, mask, None, everything)
        alone = encoder(ids[1:, :12], mask[1:, :12], None, everything[1:, :12])
    assert torch.allclose(both[1, :12], alone[0], atol=1e-5)


def test_bigbird_results_do_not_depend_on_earlier_batches():
    encoder = make("big_bird").eval()
    assert encoder.longest_full == 28  # (5 + 2 * 1) * 4
    short, long = random_batch(2, 10), random_batch(2, 40)
    with torch.no_grad():
        first = encoder(*long)
        between = encoder(*short)
        assert encoder.model.attention_type == "original_full"
        assert torch.equal(encoder(*long), first)
        assert encoder.model.attention_type == "block_sparse"
        assert torch.equal(encoder(*short), between)


def test_bigbird_switch_keeps_parameters_mode_and_generators():
    encoder = make("big_bird")
    names = [name for name, _ in encoder.named_parameters()]
    identities = [id(p) for p in encoder.parameters()]
    encoder.eval()
    np.random.seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    with torch.no_grad():
        encoder(*random_batch(1, 40))
        encoder(*random_batch(1, 10))
    assert [name for name, _ in encoder.named_parameters()] == names
    assert [id(p) for p in encoder.parameters()] == identities
    assert not any(module.training for module in encoder.modules())
    assert torch.equal(torch.get_rng_state(), before[0])
    encoder.train()
    encoder(*random_batch(1, 40))
    assert encoder.model.attention_type == "block_sparse"
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_bigbird_with_full_attention_in_its_config_keeps_it():
    encoder = make("big_bird", attention_type="original_full").eval()
    encoder(*random_batch(1, 40))
    assert encoder.model.attention_type == "original_full"
