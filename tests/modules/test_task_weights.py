import math

import pytest
import torch

from redsm5.modules.task_weighting import FixedWeights, Uncertainty


def test_fixed_weights_are_a_weighted_sum():
    assert FixedWeights(0.5, 2.0).build()(torch.tensor(3.0), torch.tensor(4.0)) == 9.5


def test_uncertainty_is_the_formula_of_its_paper():
    """Kendall et al. 2018: L1 / s1^2 + L2 / s2^2 + log s1 + log s2, with standard deviations s."""
    weights = Uncertainty().build()
    s1, s2 = 0.5, 3.0
    with torch.no_grad():
        weights.log_variances.copy_(torch.tensor([2 * math.log(s1), 2 * math.log(s2)]))
    expected = 0.7 / s1**2 + 5.0 / s2**2 + math.log(s1) + math.log(s2)
    assert weights(torch.tensor(0.7), torch.tensor(5.0)).item() == pytest.approx(expected, rel=1e-5)
    assert [w.item() for w in weights.learned().values()] == pytest.approx([1 / s1**2, 1 / s2**2])


def test_learned_weights_come_to_rest_at_half_the_inverse_loss():
    weights = Uncertainty().build()
    optimizer = torch.optim.SGD(weights.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        weights(torch.tensor(0.25), torch.tensor(2.0)).backward()
        optimizer.step()
    assert [w.item() for w in weights.learned().values()] == pytest.approx([2.0, 0.25], rel=1e-3)


@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["lambda_class", "lambda_span"])
def test_impossible_weight_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        FixedWeights(**{name: value})


def test_weights_that_leave_nothing_to_learn_are_refused():
    with pytest.raises(ValueError, match="lambda_class is 0 and so is lambda_span"):
        FixedWeights(0.0, 0.0)
    assert FixedWeights(0.0, 1.0).build()(torch.tensor(3.0), torch.tensor(4.0)) == 4.0
