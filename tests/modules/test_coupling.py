"""The coupling alone: soft spans to vectors, and vectors joined, beside NumPy in float64."""

from itertools import product
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from redsm5.modules.coupling import EvidenceInformed, Independent, Join, SpanPooling

H, K = 6, 3
VARIANTS = [EvidenceInformed(pooling, join) for pooling, join in product(get_args(SpanPooling), get_args(Join))]
POOLINGS = [EvidenceInformed(pooling) for pooling in get_args(SpanPooling)]


def inputs(seed=0, windows=4, length=7):
    """Vectors, states, probabilities and contexts; the last window has no context."""
    generator = torch.Generator().manual_seed(seed)
    context = torch.rand(windows, length, generator=generator) < 0.6
    context[:, 0] = False
    context[:, 1] = True
    context[-1] = False
    p = torch.rand(windows, length, K, generator=generator) * context.unsqueeze(-1)
    vectors, states = (torch.randn(*shape, generator=generator) for shape in ((windows, H), (windows, length, H)))
    return vectors, states, p, context


def moved(option):
    """A coupling away from where it starts."""
    torch.manual_seed(1)
    module = option.build(H, K)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module


def of_evidence(option, module, states, p, context):
    """The vector [H] of one window and output."""
    read, p = states[context], p[context]
    if not p.any():
        return np.zeros(H)
    match option.pooling:
        case "mean":
            pooled = (p[:, None] * read).sum(axis=0) / p.sum()
        case "attention":
            weights = p * softmax(read @ module)
            pooled = (weights[:, None] * read).sum(axis=0) / weights.sum()
        case "max":
            with np.errstate(divide="ignore"):
                pooled = (read + np.log(p / p.max())[:, None]).max(axis=0)
    return p.max() * pooled


def joined(option, weights, window, evidence):
    match option.join:
        case "concat":
            return np.concatenate([window, evidence])
        case "add":
            return window + evidence
        case "mean":
            return (window + evidence) / 2
        case "weighted_sum":
            return weights[0] * window + weights[1] * evidence
        case "weighted_mean":
            shares = softmax(weights)
            return shares[0] * window + shares[1] * evidence


@pytest.mark.parametrize("option", VARIANTS, ids=str)
def test_coupling_equals_its_formula(option):
    vectors, states, p, context = inputs()
    p[1, :, 0] = 0  # no evidence of one output
    p[2, 1, 1] = 1
    module = moved(option)
    found = module(vectors, states, p, context).detach().numpy()
    assert found.shape == (4, K, option.width(H))
    query, weights = (
        getattr(module, name, torch.zeros(K, H)).detach().double().numpy() for name in ("query", "weights")
    )
    v, s, q, c = (t.double().numpy() if t.is_floating_point() else t.numpy() for t in (vectors, states, p, context))
    for w, k in product(range(4), range(K)):
        evidence = of_evidence(option, query[k], s[w], q[w, :, k], c[w])
        np.testing.assert_allclose(found[w, k], joined(option, weights, v[w], evidence), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("option", POOLINGS, ids=str)
def test_certain_evidence_is_pooled_as_the_span_it_is(option):
    vectors, states, _, context = inputs()
    context[0, 2:5] = True
    p = torch.zeros(4, 7, K)
    p[0, 2:5, 1] = 1
    module = moved(option)
    span = states[0, 2:5]
    expected = {
        "mean": span.mean(dim=0),
        "max": span.amax(dim=0),
        "attention": (span @ getattr(module, "query", torch.zeros(K, H))[1]).softmax(dim=0) @ span,
    }[option.pooling]
    found = module(vectors, states, p, context)
    torch.testing.assert_close(found[0, 1, H:], expected)
    assert found[0, 0, H:].count_nonzero() == 0  # no evidence of another output
    assert found[1:, :, H:].count_nonzero() == 0
    torch.testing.assert_close(found[..., :H], vectors.unsqueeze(1).expand(4, K, H))


@pytest.mark.parametrize(("join", "same"), [("weighted_sum", "add"), ("weighted_mean", "mean")])
def test_learned_join_starts_as_the_plain_one(join, same):
    learned, plain = (EvidenceInformed(join=name).build(H, K)(*inputs()) for name in (join, same))
    torch.testing.assert_close(learned, plain)


def test_attention_over_evidence_starts_as_the_mean():
    attention, mean = (EvidenceInformed(pooling=name).build(H, K)(*inputs()) for name in ("attention", "mean"))
    torch.testing.assert_close(attention, mean)


@pytest.mark.parametrize("option", VARIANTS, ids=str)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), more=st.integers(1, 5))
def test_padding_of_any_content_changes_nothing(option, seed, more):
    vectors, states, p, context = inputs(seed)
    module = moved(option)
    wide = torch.cat([states, torch.full((4, more, H), torch.nan)], dim=1)
    padded = torch.cat([p, torch.zeros(4, more, K)], dim=1), torch.cat([context, torch.zeros(4, more).bool()], dim=1)
    torch.testing.assert_close(module(vectors, wide, *padded), module(vectors, states, p, context))


@pytest.mark.parametrize("option", POOLINGS, ids=str)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), exponent=st.integers(-44, -1))
def test_fading_evidence_goes_to_zero_with_finite_gradients(option, seed, exponent):
    vectors, states, p, context = inputs(seed)
    p = (p * 10.0**exponent).requires_grad_()
    states.requires_grad_()
    module = moved(option)
    evidence = module(vectors, states, p, context)[..., H:]
    # As much as the strongest token, up to what max may add to a state.
    assert (evidence.abs() <= p.amax(dim=1).unsqueeze(-1) * (states.abs().amax() + 1e-3) * 1.01).all()
    evidence.sum().backward()
    assert p.grad.isfinite().all()
    assert states.grad.isfinite().all()
    assert all(q.grad.isfinite().all() for q in module.parameters() if q.grad is not None)


@pytest.mark.parametrize("option", VARIANTS, ids=str)
def test_no_evidence_and_no_context_are_finite_forwards_and_backwards(option):
    vectors, states, p, context = inputs()
    parts = [vectors.requires_grad_(), states.requires_grad_(), torch.zeros_like(p).requires_grad_()]
    out = option.build(H, K)(*parts, context)
    out.square().sum().backward()
    assert out.isfinite().all()
    assert all(part.grad.isfinite().all() for part in parts)
    assert vectors.grad.abs().sum() > 0


@pytest.mark.parametrize("option", VARIANTS, ids=str)
def test_gradients_reach_probabilities_states_and_every_weight(option):
    vectors, states, p, context = inputs()
    parts = [part.requires_grad_() for part in (vectors, states, p)]
    module = option.build(H, K)
    module(*parts, context).square().sum().backward()
    for part in (*parts, *module.parameters()):
        assert part.grad.abs().sum() > 0


@pytest.mark.parametrize("option", VARIANTS, ids=str)
def test_gradient_equals_finite_differences(option):
    vectors, states, p, context = inputs(windows=2, length=5)
    torch.manual_seed(1)
    module = moved(option)
    p = p * 0.9 + 0.05 * context.unsqueeze(-1)
    parts = [part.clone().requires_grad_() for part in (vectors, states, p)]
    upstream = torch.randn(2, K, option.width(H))
    (module(*parts, context) * upstream).sum().backward()
    direction = [torch.randn_like(part) for part in parts[:2]] + [torch.randn_like(p) * context.unsqueeze(-1)]
    step = 1e-3
    shifted = []
    for sign in (1, -1):
        there = [part.detach() + sign * step * d for part, d in zip(parts, direction, strict=True)]
        shifted.append((module(*there, context) * upstream).double().sum())
    along = sum((part.grad * d).sum() for part, d in zip(parts, direction, strict=True))
    torch.testing.assert_close(along.double(), (shifted[0] - shifted[1]) / (2 * step), rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("option", VARIANTS, ids=str)
def test_sums_are_in_fp32_under_autocast(option, dtype):
    """70,000 like tokens: half precision cannot count them."""
    states = torch.ones(1, 70_000, 2, dtype=dtype)
    context = torch.ones(1, 70_000).bool()
    p = torch.full((1, 70_000, 1), 0.5)
    with torch.autocast("cpu", dtype=dtype):
        found = option.build(2, 1)(torch.zeros(1, 2, dtype=dtype), states, p, context)
    assert found.dtype == torch.float32
    factor = {"mean": 0.25, "weighted_mean": 0.25}.get(option.join, 0.5)
    torch.testing.assert_close(found[0, 0, -2:], torch.full((2,), factor), rtol=2e-3, atol=0)


def test_independent_has_no_module_and_the_width_of_the_encoder():
    assert Independent().build(H, K) is None
    assert Independent().width(H) == H
    assert [EvidenceInformed(join=join).width(H) for join in get_args(Join)] == [2 * H, H, H, H, H]
