import pytest
import torch

from redsm5.modules.loss_means import LossMeans


def same(tensor):
    return tensor


def test_loss_means_weigh_batches_by_their_examples():
    means = LossMeans()
    means.add({"a": torch.tensor(1.0), "b": torch.tensor(4.0)}, torch.tensor([3.0, 0.0]))
    means.add({"a": torch.tensor(5.0), "b": torch.tensor(6.0)}, torch.tensor([1.0, 2.0]))
    assert {name: float(value) for name, value in means.means(same).items()} == {"a": 2.0, "b": 6.0}


def test_loss_means_of_what_no_example_has_are_zero():
    means = LossMeans()
    means.add({"a": torch.tensor(0.0)}, torch.tensor([0.0]))
    assert float(means.means(same)["a"]) == 0.0


def test_loss_means_sum_losses_and_examples_over_ranks():
    means, other = LossMeans(), torch.tensor([[6.0], [2.0]])  # two examples there, with a mean of 3
    means.add({"a": torch.tensor(1.0)}, torch.tensor([6.0]))
    assert float(means.means(lambda totals: totals + other)["a"]) == pytest.approx((6 * 1 + 2 * 3) / 8)


def test_loss_means_keep_no_graph():
    means, weight = LossMeans(), torch.ones((), requires_grad=True)
    means.add({"a": weight * 2}, torch.tensor([1.0]))
    assert not means.means(same)["a"].requires_grad


def test_loss_means_without_a_batch_are_none():
    assert LossMeans().means(same) == {}
