import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from redsm5.batch_search.fake_tensors import FakeTensors, forget_values
from redsm5.batch_search.live_bytes import LiveBytes


@pytest.mark.parametrize(
    ("make", "fake"),
    [
        (lambda: torch.zeros(3), True),
        (lambda: torch.rand(3), True),
        (lambda: torch.arange(0.0, 3.0), True),
        (lambda: torch.zeros(3) + torch.arange(3), True),
        (lambda: torch.zeros(3)[torch.arange(2)], True),
        (lambda: torch.zeros(3, dtype=torch.int64), False),
        (lambda: torch.arange(3), False),
        (lambda: torch.arange(3) > 1, False),
        (lambda: torch.tensor([1.0, 2.0]), False),
        (lambda: torch.div(512, 256, rounding_mode="trunc"), False),
    ],
)
def test_fake_tensors_are_those_of_floating_point(make, fake):
    with FakeTensors().on():
        assert isinstance(make(), FakeTensor) == fake


def test_fake_tensors_leave_values_of_masks_readable():
    with FakeTensors().on():
        mask = torch.arange(5) > 2
        assert mask.nonzero().flatten().tolist() == [3, 4]
        assert torch.zeros(5, 2)[mask.nonzero().flatten()].shape == (2, 2)
        assert bool(mask.any())


def test_fake_tensors_say_one_where_a_value_is_asked_for():
    with FakeTensors().on():
        assert torch.rand(3).sum().item() == 1.0
        assert not bool(torch.rand(3).isnan().any())


def test_forget_values_makes_a_module_runnable_and_keeps_what_is_shared():
    with torch.device("meta"):
        module = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 10, bias=False), nn.BatchNorm1d(10))
    module[1].weight = module[0].weight
    module[2].weight.requires_grad = False
    with FakeTensors().on():
        forget_values(module)
        assert module[0].weight is module[1].weight
        assert isinstance(module[0].weight, FakeTensor)
        assert [p.requires_grad for p in module.parameters()] == [True, False, True]
        assert module(torch.arange(6)).shape == (6, 10)
    assert module[2].num_batches_tracked.item() == 1  # an integer is real: zero before it counted


def test_fake_tensors_are_not_copied_when_the_same_instance_is_on_again():
    fakes, live = FakeTensors(), LiveBytes()
    with fakes.on(), live:
        weight = torch.zeros(256)
    with fakes.on(), live:
        view = weight.view(2, -1)
    assert live.now == 1024
    assert view.untyped_storage() is weight.untyped_storage()
