import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from redsm5.modules.criteria_loss import BCE, AdaptiveFocal, Focal, Hybrid, WeightedBCE

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [-3.0, 0.0, 1.0]])
LABELS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
RATES = (0.1, 0.2, 0.3)
POSTS = torch.tensor([-1, -1])
OPTIONS = [BCE, WeightedBCE, Focal, AdaptiveFocal, Hybrid]


def lin(logits, labels, gamma, alpha=None):
    """Lin et al. 2017, eq. 5, as it is written: -alpha_t (1 - p_t)^gamma log(p_t), in float64."""
    p, y = expit(logits.double().numpy()), labels.double().numpy()
    p_t = np.where(y == 1, p, 1 - p)
    alpha_t = 1.0 if alpha is None else np.where(y == 1, alpha, 1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * np.log(p_t)


@pytest.mark.parametrize("alpha", [None, 0.25, 0.9])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0, 3.5, 5.0])
def test_focal_is_the_formula_of_its_paper(gamma, alpha):
    losses = Focal(gamma=gamma, alpha=alpha).build(RATES)(LOGITS, LABELS, POSTS)
    np.testing.assert_allclose(losses.numpy(), lin(LOGITS, LABELS, gamma, alpha).mean(axis=1), rtol=1e-5)


def test_focal_without_focus_is_cross_entropy():
    focal, plain = (option.build(RATES)(LOGITS, LABELS, POSTS) for option in (Focal(gamma=0.0), BCE()))
    torch.testing.assert_close(focal, plain)


@pytest.mark.parametrize("alpha", [0.1, 0.5, 0.9])
def test_hybrid_is_the_mean_of_its_parts(alpha):
    losses = Hybrid(alpha=alpha, gamma=3.0).build(RATES)(LOGITS, LABELS, POSTS)
    expected = alpha * lin(LOGITS, LABELS, 0.0) + (1 - alpha) * lin(LOGITS, LABELS, 3.0)
    np.testing.assert_allclose(losses.numpy(), expected.mean(axis=1), rtol=1e-5)


@given(smoothing=st.floats(0.0, 0.9), option=st.sampled_from(OPTIONS))
@settings(deadline=None, max_examples=50)
def test_smoothed_label_is_the_mean_over_what_it_may_stand_for(smoothing, option):
    smooth = option(label_smoothing=smoothing).build(RATES)(LOGITS[:, :1], LABELS[:, :1], torch.tensor([1, 1]))
    right, wrong = (
        option().build(RATES)(LOGITS[:, :1], y, torch.tensor([1, 1])) for y in (LABELS[:, :1], 1 - LABELS[:, :1])
    )
    torch.testing.assert_close(smooth, (1 - smoothing / 2) * right + smoothing / 2 * wrong)


@pytest.mark.parametrize("option", OPTIONS)
def test_loss_and_gradient_are_finite_where_the_model_is_sure_and_wrong(option):
    logits = torch.tensor([[120.0, -120.0, 0.0]], requires_grad=True)
    loss = option().build(RATES)(logits, torch.tensor([[0.0, 1.0, 1.0]]), POSTS[:1])
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 0] > 0 > logits.grad[0, 1]


def test_adaptive_focal_begins_as_focal():
    adaptive, focal = (kind(gamma=2.5).build(RATES)(LOGITS, LABELS, POSTS) for kind in (AdaptiveFocal, Focal))
    torch.testing.assert_close(adaptive, focal)


def test_adaptive_focal_reads_the_gamma_of_each_pairs_criterion():
    loss = AdaptiveFocal(gamma=2.0, pull=0.5).build(RATES)
    gammas = torch.tensor([1.0, 2.0, 4.0])
    with torch.no_grad():
        loss.raw_gamma.copy_(torch.log(torch.expm1(gammas)))
    logits, labels = torch.tensor([[0.3], [-0.7]]), torch.ones(2, 1)
    pull = 0.5 * ((1 - 2) ** 2 + 0 + (4 - 2) ** 2) / 3
    expected = [lin(logits[e], labels[e], gamma)[0] + pull for e, gamma in enumerate((4.0, 1.0))]
    np.testing.assert_allclose(loss(logits, labels, torch.tensor([2, 0])).detach().numpy(), expected, rtol=1e-5)


def test_learned_gammas_settle_where_the_pull_holds_them():
    loss = AdaptiveFocal(gamma=2.0, pull=0.1).build((0.5, 0.5))
    logits, labels = torch.tensor([[0.0, 6.0]]), torch.ones(1, 2)
    optimizer = torch.optim.SGD(loss.parameters(), lr=1.0)
    for _ in range(500):
        optimizer.zero_grad()
        loss(logits, labels, torch.tensor([-1])).mean().backward()
        optimizer.step()
    # At rest 2 pull (gamma - 2) = -log(1 - p) (1 - p)^gamma (-log p).
    for gamma, z in zip(loss.gamma.tolist(), (0.0, 6.0), strict=True):
        p = expit(z)
        assert 0.2 * (gamma - 2) == pytest.approx(np.log(1 - p) * (1 - p) ** gamma * np.log(p), abs=1e-4)
    assert loss.gamma[0] > 2.3 > 2.01 > loss.gamma[1]
    assert loss.learned()["gamma"] == loss.gamma.mean()


@pytest.mark.parametrize(
    ("option", "values", "said"),
    [
        (Focal, {"gamma": -1.0}, "gamma is -1.0"),
        (Focal, {"gamma": float("nan")}, "gamma is nan"),
        (Focal, {"alpha": 1.0}, "alpha is 1.0"),
        (AdaptiveFocal, {"gamma": 0.0}, "gamma is 0"),
        (AdaptiveFocal, {"pull": 0.0}, "pull is 0.0"),
        (Hybrid, {"alpha": 0.0}, "alpha is 0.0"),
        (Hybrid, {"gamma": 0.0}, "gamma is 0"),
        *(
            (option, {"label_smoothing": value}, f"label_smoothing is {value}")
            for option in OPTIONS
            for value in (-0.1, 1.0)
        ),
    ],
)
def test_impossible_values_are_refused(option, values, said):
    with pytest.raises(ValueError, match=said):
        option(**values)
