import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from redsm5.catalog import CATALOG
from redsm5.errors import UserError
from redsm5.modules.pooling import CLS, Attention, Mean, ScalarMix, refuse_unfit

POOLINGS = [CLS(), Mean(), Attention(), Attention(heads=4), ScalarMix(layers=2), ScalarMix(layers=3)]


def inputs(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(3, 6, 4, generator=generator).to(dtype)
    context = torch.tensor([[0, 0, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]).bool()
    return states, context


def test_cls_is_position_zero():
    states, context = inputs()
    assert torch.equal(CLS().build(4)(states, context, states[:, :1]), states[:, 0])


def test_mean_averages_the_context_only():
    states, context = inputs()
    pooled = Mean().build(4)(states, context, states[:, :1]).numpy()
    np.testing.assert_allclose(pooled[0], states.numpy()[0, 2:5].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(pooled[1], states.numpy()[1, 1:3].mean(axis=0), rtol=1e-6)


def test_mean_without_context_is_position_zero():
    states, context = inputs()
    pooled = Mean().build(4)(states, context, states[:, :1])
    assert torch.equal(pooled[2], states[2, 0])


def test_mean_ignores_nan_outside_the_context():
    states, context = inputs()
    expected = Mean().build(4)(states, context, states[:, :1])[:2]
    states[0, 5] = torch.nan
    states[1, 3:] = torch.nan
    assert torch.equal(Mean().build(4)(states, context, states[:, :1])[:2], expected)


# Sums that half precision rounds down: 257 has nine significant bits, bf16 eight; 2,049 twelve, fp16 eleven.
@pytest.mark.parametrize(("dtype", "tokens"), [(torch.bfloat16, 257), (torch.float16, 2049), (torch.float16, 70_000)])
def test_mean_accumulates_in_fp32(dtype, tokens):
    states, context = torch.ones(1, tokens, 1, dtype=dtype), torch.ones(1, tokens, dtype=torch.bool)
    pooled = Mean().build(1)(states, context, states[:, :1])
    assert pooled.dtype == dtype
    assert pooled.item() == 1.0


def test_mean_spreads_the_gradient_over_the_context():
    states, context = inputs()
    states.requires_grad_()
    Mean().build(4)(states, context, states[:, :1]).sum().backward()
    expected = torch.zeros(3, 6)
    expected[0, 2:5] = 1 / 3
    expected[1, 1:3] = 1 / 2
    expected[2, 0] = 1
    torch.testing.assert_close(states.grad, expected.unsqueeze(-1).expand(3, 6, 4))


def moved(option, hidden):
    """A pooling away from where it starts."""
    torch.manual_seed(1)
    module = option.build(hidden)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_equals_the_formula(heads):
    torch.manual_seed(0)
    states, context = torch.randn(3, 6, 8), inputs()[1]
    module = moved(Attention(heads), 8)
    pooled = module(states, context, states[:, :1]).detach().numpy()
    query, read = module.query.detach().double().numpy(), states.double().numpy()
    for w, kept in enumerate(([2, 3, 4], [1, 2], [0])):  # the last has no context
        tokens = read[w, kept]
        width = 8 // heads
        shares = [softmax(tokens @ query[j]) @ tokens[:, j * width : (j + 1) * width] for j in range(heads)]
        np.testing.assert_allclose(pooled[w], np.concatenate(shares), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("heads", [1, 4])
def test_attention_starts_as_the_mean(heads):
    states, context = inputs()
    torch.testing.assert_close(
        Attention(heads).build(4)(states, context, states[:, :1]), Mean().build(4)(states, context, states[:, :1])
    )


@pytest.mark.parametrize("layers", [2, 3])
def test_scalar_mix_equals_the_formula(layers):
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(5, 4, 6, generator=generator)  # a layer more than is read
    module = moved(ScalarMix(layers), 6)
    mixed = module(first[:, -1:], torch.ones(5, 1).bool(), first).detach().numpy()
    shares, gamma = softmax(module.weights.detach().numpy()), module.gamma.item()
    expected = gamma * sum(shares[j] * first[:, 4 - layers + j].numpy() for j in range(layers))
    np.testing.assert_allclose(mixed, expected, rtol=1e-5, atol=1e-6)


def test_scalar_mix_starts_as_the_mean_of_the_layers():
    first = torch.randn(5, 3, 6)
    mixed = ScalarMix(3).build(6)(first[:, -1:], torch.ones(5, 1).bool(), first)
    torch.testing.assert_close(mixed, first.mean(dim=1))


@pytest.mark.parametrize("option", POOLINGS, ids=str)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), more=st.integers(1, 5))
def test_padding_of_any_content_changes_nothing(option, seed, more):
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(4, 6, 8, generator=generator)
    context = torch.rand(4, 6, generator=generator) < 0.5
    context[:, 0] = False
    first = torch.randn(4, 3, 8, generator=generator)
    first[:, -1] = states[:, 0]
    module = moved(option, 8)
    wide = torch.cat([states, torch.full((4, more, 8), torch.nan)], dim=1)
    padded = torch.cat([context, torch.zeros(4, more).bool()], dim=1)
    torch.testing.assert_close(module(wide, padded, first), module(states, context, first))


@pytest.mark.parametrize("option", POOLINGS[2:], ids=str)
def test_learned_pooling_sends_gradients_to_its_weights_and_to_the_states(option):
    states, context = inputs()
    first = torch.randn(3, 3, 4, requires_grad=True)
    states.requires_grad_()
    module = option.build(4)
    module(states, context, first).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())
    read = states if isinstance(option, Attention) else first
    assert read.grad.abs().sum() > 0


@pytest.mark.parametrize("option", POOLINGS, ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_pooling_in_half_precision_is_near_the_exact_one(option, dtype):
    torch.manual_seed(0)
    states, context = torch.randn(3, 6, 8).to(dtype), inputs()[1]
    first = torch.stack([torch.randn(3, 8).to(dtype), torch.randn(3, 8).to(dtype), states[:, 0]], dim=1)
    module = moved(option, 8)
    with torch.autocast("cpu", dtype=dtype):
        half = module(states, context, first)
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), module(states.float(), context, first.float()), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("layers", [-1, 0, 1])
def test_scalar_mix_refuses_what_is_no_mix(layers):
    with pytest.raises(ValueError, match=f"layers is {layers}; it must be at least 2"):
        ScalarMix(layers)


def test_pooling_that_does_not_fit_the_encoder_is_refused_in_words():
    bert = CATALOG["google-bert/bert-base-uncased"]
    for option in (CLS(), Mean(), Attention(4), ScalarMix(12)):
        refuse_unfit(option, bert)
    with pytest.raises(UserError, match=r"model.pooling.layers is 13; google-bert/bert-base-uncased has 12 layers"):
        refuse_unfit(ScalarMix(13), bert)
    refuse_unfit(ScalarMix(13), None)


def test_four_heads_divide_the_features_of_every_encoder_of_the_catalog():
    assert all(Attention(4).misfit(known) is None for known in CATALOG.values())
    odd = dataclasses.replace(CATALOG["google-bert/bert-base-uncased"], id="an/odd", hidden=30)
    with pytest.raises(UserError, match=r"model.pooling.heads is 4, which does not divide the 30 features of an/odd"):
        refuse_unfit(Attention(4), odd)
