import numpy as np
import pytest
import torch

from redsm5.modules.pooling import CLS, Mean


def inputs(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(3, 6, 4, generator=generator).to(dtype)
    attention = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]])
    context = torch.tensor([[0, 0, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]]).bool()
    return states, attention, context


def test_cls_is_position_zero():
    states, attention, context = inputs()
    assert torch.equal(CLS().build(4)(states, context, states[:, :1]), states[:, 0])


def test_mean_averages_the_context_only():
    states, attention, context = inputs()
    pooled = Mean().build(4)(states, context, states[:, :1]).numpy()
    np.testing.assert_allclose(pooled[0], states.numpy()[0, 2:5].mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(pooled[1], states.numpy()[1, 1:3].mean(axis=0), rtol=1e-6)


def test_mean_without_context_is_position_zero():
    states, attention, context = inputs()
    pooled = Mean().build(4)(states, context, states[:, :1])
    assert torch.equal(pooled[2], states[2, 0])


def test_mean_ignores_nan_outside_the_context():
    states, attention, context = inputs()
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
    states, attention, context = inputs()
    states.requires_grad_()
    Mean().build(4)(states, context, states[:, :1]).sum().backward()
    expected = torch.zeros(3, 6)
    expected[0, 2:5] = 1 / 3
    expected[1, 1:3] = 1 / 2
    expected[2, 0] = 1
    torch.testing.assert_close(states.grad, expected.unsqueeze(-1).expand(3, 6, 4))
