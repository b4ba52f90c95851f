import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from redsm5.batch_search.live_bytes import BLOCK, CudaAutocast, LiveBytes

KB = 1024


def test_live_bytes_counts_what_is_alive_and_the_most_that_was():
    with LiveBytes() as live:
        first = torch.zeros(KB)  # 4 KB
        second = torch.zeros(2 * KB)
        assert live.now == 12 * KB
        del first
        assert live.now == 8 * KB
        third = second + 1
        assert (live.now, live.peak) == (16 * KB, 16 * KB)
        del third
        live.restart()
        assert live.peak == 8 * KB


def test_live_bytes_counts_a_storage_once_and_rounds_up():
    with LiveBytes() as live:
        whole = torch.zeros(3)
        assert live.now == BLOCK
        views = [whole[:2], whole.view(3, 1), whole.t()]
        assert live.now == BLOCK
        del whole
        assert live.now == BLOCK  # the views hold it
        del views
        assert live.now == 0


def test_live_bytes_takes_what_was_there_before():
    before = torch.zeros(KB)
    with LiveBytes() as live:
        live.add([before, before.view(2, -1)])
        assert live.now == 4 * KB


def test_live_bytes_sees_what_autograd_keeps():
    """exp keeps its result, a ReLU its result, a product both factors."""
    x = torch.zeros(KB, requires_grad=True)
    with LiveBytes() as live:
        y = x.exp().relu()
        kept = live.now
        assert kept == 2 * 4 * KB
        y.sum().backward()
        del y
        assert live.now == 4 * KB  # the gradient


@pytest.mark.parametrize("fake", [False, True])
def test_live_bytes_of_a_linear_layer_are_those_of_the_formula(fake):
    batch, inputs, outputs = 16, 256, 512
    with FakeTensorMode() if fake else torch.enable_grad():
        layer, x = nn.Linear(inputs, outputs), torch.zeros(batch, inputs)
        with LiveBytes() as live:
            live.add([*layer.parameters(), x])
            weights = 4 * (inputs * outputs + outputs)
            assert live.now == weights + 4 * batch * inputs
            y = layer(x)
            assert live.now == weights + 4 * batch * (inputs + outputs)
            y.backward(torch.ones_like(y))
            del y
            assert live.now == 2 * weights + 4 * batch * inputs


def test_cuda_autocast_computes_softmax_and_layer_norm_in_fp32():
    x = torch.randn(4, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = nn.functional.linear(x, x)
        assert half.dtype == torch.bfloat16
        assert half.softmax(-1).dtype == torch.bfloat16
        with CudaAutocast():
            assert half.softmax(-1).dtype == torch.softmax(half, -1).dtype == torch.float32
            assert nn.functional.layer_norm(half, (4,)).dtype == torch.float32
    with CudaAutocast():
        assert half.softmax(-1).dtype == torch.bfloat16  # no autocast, no copies
