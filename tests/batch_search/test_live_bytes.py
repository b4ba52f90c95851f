"""The count of live bytes against sizes worked out by hand."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from redsm5.batch_search.live_bytes import BLOCK, LiveBytes

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
        assert live.restart() == live.peak == 8 * KB


def test_live_bytes_counts_a_storage_once_and_rounds_up():
    with LiveBytes() as live:
        whole = torch.zeros(3)
        assert live.now == BLOCK
        views = [whole[:2], whole.view(3, 1), whole.t(), whole.detach()]
        assert live.now == BLOCK
        del whole
        assert live.now == BLOCK  # the views hold it
        del views
        assert live.now == 0


def test_live_bytes_of_a_result_in_a_given_tensor_are_those_of_the_tensor():
    with LiveBytes() as live:
        made = torch.zeros(KB)
        made.mul_(2)
        torch.add(made, 1, out=made)
        assert (live.now, live.peak) == (4 * KB, 4 * KB)


def test_live_bytes_holds_a_moment_that_no_operation_makes():
    with LiveBytes() as live:
        kept = torch.zeros(KB)
        live.at_least(KB)
        assert (live.now, live.peak) == (4 * KB, 5 * KB)
        live.at_least(0)
        assert live.peak == 5 * KB
    assert kept is not None


def test_live_bytes_sees_what_autograd_keeps():
    """exp keeps its result, a ReLU its result, a sum nothing."""
    x = torch.zeros(KB, requires_grad=True)
    with LiveBytes() as live:
        y = x.exp().relu()
        assert live.now == 2 * 4 * KB
        y = y.sum()
        assert live.now == 2 * 4 * KB + BLOCK
        torch.autograd.backward(y)
        del y
        assert live.now == 4 * KB  # the gradient


@pytest.mark.parametrize("fake", [False, True])
def test_live_bytes_of_a_linear_layer_are_those_of_the_formula(fake):
    batch, inputs, outputs = 16, 256, 512
    weights, read, made = 4 * (inputs * outputs + outputs), 4 * batch * inputs, 4 * batch * outputs
    with FakeTensorMode() if fake else torch.enable_grad(), LiveBytes() as live:
        layer, x = nn.Linear(inputs, outputs), torch.zeros(batch, inputs)
        assert live.now == weights + read
        y = layer(x)
        assert live.now == weights + read + made
        torch.autograd.backward(y, torch.ones_like(y))
        assert live.now == 2 * weights + read + made
        del y
        assert live.now == 2 * weights + read
