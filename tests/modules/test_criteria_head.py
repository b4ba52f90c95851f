import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erf, expit

from redsm5.modules.criteria_head import GatedHead, LinearHead, MLPHead, ResidualMLPHead

HEADS = [LinearHead(), MLPHead(hidden=6), ResidualMLPHead(hidden=6), GatedHead(hidden=6)]
ACTIVATIONS = {
    "gelu": lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    "silu": lambda x: x * expit(x),
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "tanh": np.tanh,
    "sigmoid": expit,
}


def moved(option, n_outputs=3, size=5):
    """A head in evaluation whose weights, biases and norms are all away from where they start."""
    torch.manual_seed(1)
    head = option.build(size, n_outputs).eval()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    return head


def affine(layer, x):
    return x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def normed(layer, x):
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + layer.eps)
    return scaled * layer.weight.detach().double().numpy() + layer.bias.detach().double().numpy()


def reference(option, head, vectors):
    """The head by NumPy, in float64."""
    x = vectors.double().numpy()
    match option:
        case MLPHead():
            x = ACTIVATIONS[option.activation](affine(head.body[1], x))
        case ResidualMLPHead():
            for block in (head.body[0], head.body[1]):
                inside = ACTIVATIONS[option.activation](affine(block.inner[1], normed(block.norm, x)))
                x = x + affine(block.outer, inside)
            x = normed(head.body[2], x)
        case GatedHead():
            both = affine(head.body.content_and_gate, x)
            x = both[..., : option.hidden] * ACTIVATIONS[option.gate](both[..., option.hidden :])
    return affine(head.linear, x)


@pytest.mark.parametrize(
    "option",
    [
        LinearHead(),
        *(MLPHead(hidden=6, activation=name) for name in ACTIVATIONS if name != "sigmoid"),
        *(ResidualMLPHead(hidden=6, activation=name) for name in ("gelu", "relu")),
        *(GatedHead(hidden=6, gate=name) for name in ACTIVATIONS),
    ],
    ids=str,
)
def test_head_equals_its_formula(option):
    head, vectors = moved(option), torch.randn(2, 4, 5)
    np.testing.assert_allclose(head(vectors).detach().numpy(), reference(option, head, vectors), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("option", HEADS, ids=str)
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_per_output_reads_each_vector_with_its_own_row(option, n_outputs):
    head, vectors = moved(option, n_outputs), torch.randn(4, n_outputs, 5)
    of_all = head(vectors)
    expected = torch.stack([of_all[:, k, k] for k in range(n_outputs)], dim=1)
    torch.testing.assert_close(head.per_output(vectors), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("option", HEADS, ids=str)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_per_output_of_one_vector_repeated_is_forward(option, seed):
    head = moved(option)
    vectors = torch.randn(4, 5, generator=torch.Generator().manual_seed(seed))
    repeated = vectors.unsqueeze(1).expand(4, 3, 5)
    torch.testing.assert_close(head.per_output(repeated), head(vectors), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("option", HEADS, ids=str)
def test_logits_start_near_zero_and_every_weight_learns(option):
    torch.manual_seed(0)
    wide = type(option)() if isinstance(option, LinearHead) else type(option)(hidden=256)
    head, vectors = wide.build(768, 9), torch.randn(16, 768)
    logits = head(vectors)
    assert 0 < logits.detach().abs().max() < 3
    assert head.eval()(vectors).detach().std() < 1
    logits.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())


@pytest.mark.parametrize("option", HEADS, ids=str)
def test_dropout_acts_in_training_only(option):
    head = type(option)(dropout=0.5).build(200, 1)
    vectors = torch.randn(1, 200)
    assert not torch.equal(head(vectors), head(vectors))
    assert not torch.equal(head.per_output(vectors.unsqueeze(0)), head.per_output(vectors.unsqueeze(0)))
    head.eval()
    assert torch.equal(head(vectors), head(vectors))


def test_dropout_comes_before_each_linear_layer():
    """Rates as they are set, in every head."""
    for option, count in ((LinearHead, 1), (MLPHead, 2), (ResidualMLPHead, 5), (GatedHead, 2)):
        rates = [m.p for m in option(dropout=0.3).build(8, 2).modules() if isinstance(m, torch.nn.Dropout)]
        assert rates == [0.3] * count


@pytest.mark.parametrize("samples", [4, 8])
@pytest.mark.parametrize("option", HEADS, ids=str)
def test_samples_are_the_mean_over_masks_of_their_own(option, samples):
    """Beside the same masks one at a time: dropout draws them in the order of the samples."""
    settings = {} if isinstance(option, LinearHead) else {"hidden": 6}
    head = type(option)(dropout=0.4, dropout_samples=samples, **settings).build(5, 3)
    vectors = torch.randn(4, 5)
    masks = {m: [] for m in head.modules() if isinstance(m, torch.nn.Dropout)}
    hooks = [m.register_forward_hook(lambda m, a, out: masks[m].append((out != 0) | (a[0] == 0))) for m in masks]
    logits = head(vectors)
    for hook in hooks:
        hook.remove()
    drawn = {m: found[0] for m, found in masks.items()}
    assert all(len(found) == 1 and len(found[0]) == samples for found in masks.values())
    assert any(not torch.equal(mask[0], mask[1]) for mask in drawn.values())
    singles = []
    head.eval()
    for n in range(samples):
        hooks = [m.register_forward_hook(lambda m, a, out, n=n: a[0] * drawn[m][n] / 0.6) for m in drawn]
        singles.append(head(vectors))
        for hook in hooks:
            hook.remove()
    torch.testing.assert_close(logits, torch.stack(singles).mean(dim=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("samples", [4, 8])
def test_samples_lower_the_noise_of_dropout_and_leave_evaluation_alone(samples):
    torch.manual_seed(0)
    one, many = (LinearHead(0.5, n).build(64, 1) for n in (1, samples))
    many.load_state_dict(one.state_dict())
    vectors = torch.randn(1, 64)
    for score in (lambda h: h(vectors), lambda h: h.per_output(vectors.unsqueeze(1))):
        of_one, of_many = (torch.stack([score(head) for _ in range(400)]).var().item() for head in (one, many))
        assert 0.7 * of_one / samples < of_many < 1.4 * of_one / samples
    assert torch.equal(one.eval()(vectors), many.eval()(vectors))


@pytest.mark.parametrize("option", HEADS, ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_head_runs_in_half_precision(option, dtype):
    torch.manual_seed(0)
    settings = {"dropout_samples": 4} if isinstance(option, LinearHead) else {"dropout_samples": 4, "hidden": 32}
    head, vectors = type(option)(**settings).build(64, 3), torch.randn(8, 64)
    with torch.autocast("cpu", dtype=dtype):
        logits = head(vectors).float().square().sum()
        logits = logits + head.per_output(vectors.unsqueeze(1).expand(8, 3, 64)).float().sum()
    logits.backward()
    assert logits.isfinite()
    assert all(p.grad.isfinite().all() for p in head.parameters())
    exact = head.eval()(vectors)
    with torch.autocast("cpu", dtype=dtype):
        torch.testing.assert_close(head(vectors).float(), exact, rtol=0.05, atol=0.02)


def test_relu_gate_differs_from_sigmoid_gate_by_the_gate_alone():
    glu, reglu = (moved(GatedHead(hidden=6, gate=name)) for name in ("sigmoid", "relu"))
    assert glu.state_dict().keys() == reglu.state_dict().keys()
    vectors = torch.randn(4, 5)
    assert not torch.allclose(glu(vectors), reglu(vectors))


@pytest.mark.parametrize("option", [type(head) for head in HEADS])
@pytest.mark.parametrize("dropout", [-0.1, 1.0, float("nan")])
def test_head_refuses_dropout(option, dropout):
    with pytest.raises(ValueError, match=f"dropout is {dropout}"):
        option(dropout=dropout)


@pytest.mark.parametrize("option", [type(head) for head in HEADS])
def test_head_refuses_samples_without_dropout(option):
    with pytest.raises(ValueError, match="dropout_samples is 4 and dropout is 0"):
        option(dropout=0.0, dropout_samples=4)


@pytest.mark.parametrize("option", [type(head) for head in HEADS[1:]])
def test_head_refuses_an_empty_layer(option):
    with pytest.raises(ValueError, match="hidden is 0; it must be at least 1"):
        option(hidden=0)
