"""The coupling where numbers are extreme."""

import pytest
import torch

from redsm5.modules.coupling import EvidenceInformed

CONTEXT = torch.tensor([[0, 1, 1, 1, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]).bool()
POOLINGS = ["mean", "attention", "max"]


def parts(pooling, scale=1.0):
    torch.manual_seed(0)
    module = EvidenceInformed(pooling=pooling, join="add").build(8, 2)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter)
    return module, -scale * torch.rand(3, 5, 8), torch.rand(3, 5, 2).masked_fill(~CONTEXT.unsqueeze(-1), 0)


@pytest.mark.parametrize("scale", [1.0, 200.0, 3e4])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_no_position_outside_the_context_is_read(pooling, scale):
    """Features far below 0, beside which a padding's 0 would be the maximum."""
    module, states, p = parts(pooling, scale)
    none = torch.zeros(3, 8)
    kept = slice(1, 4)
    without = module(none, states[:, kept], p[:, kept], CONTEXT[:, kept])
    torch.testing.assert_close(module(none, states, p, CONTEXT), without)


@pytest.mark.parametrize("likely", [0.0, 1e-45, 1e-38, 1e-30, 1e-20, 1e-8, 1.0])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_evidence_of_any_mass_gives_a_small_gradient(pooling, likely):
    module, states, _ = parts(pooling)
    p = (likely * CONTEXT.unsqueeze(-1).expand(3, 5, 2)).requires_grad_()
    states.requires_grad_()
    joined = module(torch.zeros(3, 8), states, p, CONTEXT)
    assert joined.detach().abs().max() <= max(likely, 1e-30) * 1.01
    joined.sum().backward()
    for gradient in (p.grad, states.grad):
        assert gradient.isfinite().all()
        assert gradient.abs().max() < 100
