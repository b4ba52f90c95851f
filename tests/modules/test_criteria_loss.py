import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from redsm5.modules.criteria_loss import BCE, WeightedBCE

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 0.0, 1.0]])
LABELS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
MULTI_LABEL = torch.tensor([-1, -1])


def weighted_bce(logits, labels, weights):
    """The formula, elementwise in float64: -w y log s(z) - (1 - y) log(1 - s(z))."""
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    y = labels.double().numpy()
    return -(weights * y * np.log(p) + (1 - y) * np.log(1 - p))


def test_bce_is_the_log_loss_per_example():
    losses = BCE().build((0.1, 0.2, 0.3))(LOGITS, LABELS, MULTI_LABEL)
    expected = [log_loss(LABELS[e].numpy(), LOGITS[e].double().sigmoid().numpy(), labels=[0, 1]) for e in range(2)]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        (WeightedBCE(pos_weight="balanced"), (1.0, 3.0, 10.0, 10.0, 0.1)),
        (WeightedBCE(pos_weight="balanced", max_pos_weight=200), (1.0, 3.0, 99.0, 200.0, 1 / 200)),
        (WeightedBCE(pos_weight="sqrt"), (1.0, 3**0.5, 99**0.5, 10.0, 0.1)),
        (WeightedBCE(pos_weight="sqrt", max_pos_weight=2.0), (1.0, 3**0.5, 2.0, 2.0, 0.5)),
    ],
    ids=str,
)
def test_weights_follow_the_training_rates(option, expected):
    assert option.weights((0.5, 0.25, 0.01, 0.0, 1.0)) == pytest.approx(expected)


def test_bce_weighs_positives_by_criterion():
    rates = (0.5, 0.25, 0.1)
    losses = WeightedBCE(pos_weight="balanced").build(rates)(LOGITS, LABELS, MULTI_LABEL)
    expected = weighted_bce(LOGITS, LABELS, np.array([1.0, 3.0, 9.0])).mean(axis=1)
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-6)


def test_bce_of_pairs_takes_the_weight_of_each_pairs_criterion():
    logits, labels = torch.tensor([[0.3], [-0.7], [1.1]]), torch.ones(3, 1)
    losses = WeightedBCE(pos_weight="balanced").build((0.5, 0.25, 0.1))(logits, labels, torch.tensor([2, 0, 1]))
    expected = weighted_bce(logits, labels, np.array([[9.0], [1.0], [3.0]]))[:, 0]
    np.testing.assert_allclose(losses.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("criterion", [-1, 0])
def test_bce_of_one_criterion_reads_its_weight_in_both_formats(criterion):
    logits, labels = torch.tensor([[0.3]]), torch.ones(1, 1)
    losses = WeightedBCE(pos_weight="balanced").build((0.25,))(logits, labels, torch.tensor([criterion]))
    np.testing.assert_allclose(losses.numpy(), weighted_bce(logits, labels, 3.0)[:, 0], rtol=1e-6)


def test_bce_is_finite_and_fp32_on_half_logits():
    losses = BCE().build((0.5, 0.5))(torch.tensor([[6e4, -6e4]]).half(), torch.tensor([[0.0, 1.0]]), MULTI_LABEL[:1])
    assert losses.dtype == torch.float32
    assert losses.item() == pytest.approx(6e4, rel=1e-3)


def test_weights_do_not_enter_the_checkpoint():
    assert not WeightedBCE(pos_weight="balanced").build((0.1, 0.2)).state_dict()


@pytest.mark.parametrize("bound", [0.5, 1.0, float("inf"), float("nan")])
def test_bce_refuses_bound(bound):
    with pytest.raises(ValueError, match=f"max_pos_weight is {bound}"):
        WeightedBCE(max_pos_weight=bound)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_weights_refuse_rate(rate):
    with pytest.raises(ValueError, match=f"positive rate is {rate}"):
        WeightedBCE().weights((rate,))
