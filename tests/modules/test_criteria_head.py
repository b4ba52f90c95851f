import numpy as np
import pytest
import torch

from redsm5.modules.criteria_head import LinearHead


def test_linear_head_is_an_affine_map():
    head = LinearHead().build(5, 3).eval()
    torch.nn.init.normal_(head.linear.bias)
    weight, bias = (p.detach().numpy() for p in head.linear.parameters())
    vectors = torch.randn(2, 4, 5)
    np.testing.assert_allclose(head(vectors).detach().numpy(), vectors.numpy() @ weight.T + bias, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_per_output_reads_each_vector_with_its_own_row(n_outputs):
    head = LinearHead().build(5, n_outputs).eval()
    torch.nn.init.normal_(head.linear.bias)
    vectors = torch.randn(4, n_outputs, 5)
    of_all = head(vectors)
    expected = torch.stack([of_all[:, k, k] for k in range(n_outputs)], dim=1)
    torch.testing.assert_close(head.per_output(vectors), expected, rtol=1e-5, atol=1e-6)


def test_dropout_acts_in_training_only():
    head = LinearHead(dropout=0.5).build(200, 1)
    vectors = torch.randn(1, 200)
    assert not torch.equal(head(vectors), head(vectors))
    assert not torch.equal(head.per_output(vectors.unsqueeze(0)), head.per_output(vectors.unsqueeze(0)))
    head.eval()
    assert torch.equal(head(vectors), head(vectors))


@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_linear_head_refuses_dropout(dropout):
    with pytest.raises(ValueError, match=f"dropout is {dropout}"):
        LinearHead(dropout)
