"""What stands for a GPU on a CPU, against the sizes that a GPU is known to keep."""

import pytest
import torch
from encoder_samples import tiny_config
from torch import nn
from torch.nn import functional as F

from redsm5.batch_search.fake_cuda import AsOnCuda, as_on_cuda
from redsm5.batch_search.fake_tensors import FakeTensors
from redsm5.batch_search.live_bytes import LiveBytes
from redsm5.modules.encoder_build import wrap
from redsm5.modules.encoder_weights import from_config

W, HEADS, L, D = 2, 4, 128, 16
STATES = W * HEADS * L * D


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.softmax(-1),
        lambda x: torch.softmax(x, -1),
        lambda x: F.softmax(x, dim=-1),
        lambda x: F.log_softmax(x, dim=-1),
        lambda x: F.layer_norm(x, (4,)),
        lambda x: nn.LayerNorm(4)(x),
        lambda x: x.sum(0),
        lambda x: x**2,
        lambda x: x.exp(),
    ],
)
def test_autocast_computes_in_float32_what_it_does_on_a_gpu(function):
    half = torch.randn(4, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16), AsOnCuda():
        assert function(half).dtype == torch.float32


def test_autocast_leaves_matrix_products_and_activations_in_half_precision():
    x = torch.randn(4, 4)
    with torch.autocast("cpu", torch.bfloat16), AsOnCuda():
        y = F.linear(x, x)
        assert {y.dtype, F.gelu(y).dtype, (y @ y).dtype, torch.tanh(y).dtype} == {torch.bfloat16}


def test_no_autocast_changes_no_precision():
    with AsOnCuda():
        assert torch.randn(4).bfloat16().softmax(-1).dtype == torch.bfloat16


def test_dropout_keeps_a_byte_for_each_value():
    x = torch.zeros(1024, requires_grad=True)
    with LiveBytes() as live, AsOnCuda():
        y = F.dropout(x, 0.1, training=True)
        assert live.now == 1024 * (4 + 1)
        assert torch.equal(F.dropout(x, 0.1, training=False), x)
        del y
        assert live.now == 0


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_fused_attention_keeps_a_mask_in_the_precision_of_its_input_and_no_probabilities(dropout):
    with FakeTensors().on(), AsOnCuda():
        query, key, value = (torch.zeros(W, HEADS, L, D, requires_grad=True) for _ in range(3))
        mask = torch.ones(W, 1, L, L, dtype=torch.bool)
        with LiveBytes() as live:
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
            kept = live.now
    assert attended.shape == (W, HEADS, L, D)
    sums = 4 * W * HEADS * L
    assert kept == pytest.approx(4 * STATES + sums + 4 * W * L * L, abs=2048)


def test_fused_attention_keeps_less_under_autocast_and_has_a_backward_pass():
    with FakeTensors().on(), AsOnCuda(), torch.autocast("cpu", torch.bfloat16):
        query = torch.zeros(W, HEADS, L, D, requires_grad=True)
        attended = F.scaled_dot_product_attention(query, query, query)
        assert attended.dtype == torch.bfloat16
        torch.autograd.backward(attended.sum())
        assert query.grad.shape == query.shape


def test_block_sparse_attention_runs_under_autocast_as_on_a_gpu():
    encoder = wrap(from_config(tiny_config("big_bird")))
    kind = encoder.model.config.attention_type
    as_on_cuda(encoder, encoder.longest_full)
    assert (encoder.sparse, kind) == (True, "block_sparse")
    as_on_cuda(encoder, encoder.longest_full + 1)
    assert not encoder.sparse
