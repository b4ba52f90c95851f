import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax

from redsm5.modules.aggregation import Attention, LogSumExp, Max, Mean
from redsm5.modules.criteria_head import LinearHead

H, K = 6, 3
OPTIONS = [Max(), Mean(), LogSumExp(), LogSumExp(temperature=0.3), Attention(hidden=5)]
WINDOW_EXAMPLE = torch.tensor([0, 0, 0, 1, 2, 2])


def parts(option, windows, seed=0):
    torch.manual_seed(seed)
    head = LinearHead().build(H, K).eval()
    torch.nn.init.normal_(head.linear.weight)
    torch.nn.init.normal_(head.linear.bias)
    return torch.randn(windows, H), head, option.build(H, K).eval()


def reference(option, vectors, head, module):
    """One example by NumPy, in float64."""
    v = vectors.detach().double().numpy()
    weight, bias = (p.detach().double().numpy() for p in head.linear.parameters())
    logits = v @ weight.T + bias
    match option:
        case Max():
            return logits.max(axis=0)
        case Mean():
            return logits.mean(axis=0)
        case LogSumExp(temperature=t):
            return t * (logsumexp(logits / t, axis=0) - np.log(len(v)))
        case Attention():
            p = {name: value.detach().double().numpy() for name, value in module.named_parameters()}
            content = np.tanh(v @ p["content.weight"].T + p["content.bias"])
            gate = 1 / (1 + np.exp(-(v @ p["gate.weight"].T + p["gate.bias"])))
            attention = softmax((content * gate) @ p["score.weight"].T, axis=0)
            return np.array([weight[k] @ (attention[:, k] @ v) + bias[k] for k in range(K)])


def looped(option, vectors, head, module):
    """One example by plain autograd operations, without segments."""
    logits = head(vectors)
    match option:
        case Max():
            return logits.amax(dim=0)
        case Mean():
            return logits.mean(dim=0)
        case LogSumExp(temperature=t):
            return t * ((logits / t).logsumexp(dim=0) - np.log(len(vectors)))
        case Attention():
            scores = module.score(module.content(vectors).tanh() * module.gate(vectors).sigmoid())
            return head.per_output((scores.softmax(dim=0).T @ vectors).unsqueeze(0))[0]


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_aggregation_equals_the_formula_per_example(option):
    vectors, head, module = parts(option, 6)
    logits = module(vectors, head, WINDOW_EXAMPLE, 3).detach()
    expected = [reference(option, vectors[WINDOW_EXAMPLE.eq(e)], head, module) for e in range(3)]
    np.testing.assert_allclose(logits.numpy(), np.stack(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_aggregation_gradient_equals_that_of_a_loop(option):
    vectors, head, module = parts(option, 6)
    upstream = torch.randn(3, K)
    parameters = [vectors.requires_grad_(), *head.parameters(), *module.parameters()]
    segmented = module(vectors, head, WINDOW_EXAMPLE, 3)
    one_by_one = torch.stack([looped(option, vectors[WINDOW_EXAMPLE.eq(e)], head, module) for e in range(3)])
    torch.testing.assert_close(
        torch.autograd.grad(segmented, parameters, upstream),
        torch.autograd.grad(one_by_one, parameters, upstream),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_aggregation_of_one_window_is_its_own_logit(option):
    vectors, head, module = parts(option, 4)
    logits = module(vectors, head, torch.arange(4), 4)
    torch.testing.assert_close(logits, head(vectors), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
@settings(max_examples=25, deadline=None)
@given(copies=st.integers(2, 5), seed=st.integers(0, 1000))
def test_aggregation_does_not_move_with_the_number_of_equal_windows(option, copies, seed):
    vectors, head, module = parts(option, 3, seed)
    repeated = module(vectors.repeat(copies, 1), head, torch.zeros(3 * copies, dtype=torch.long), 1)
    once = module(vectors, head, torch.zeros(3, dtype=torch.long), 1)
    torch.testing.assert_close(repeated, once, rtol=1e-4, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(temperature=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_log_sum_exp_lies_between_mean_and_max(temperature, seed):
    vectors, head, module = parts(LogSumExp(temperature), 6, seed)
    soft = module(vectors, head, WINDOW_EXAMPLE, 3)
    low = Mean().build(H, K)(vectors, head, WINDOW_EXAMPLE, 3)
    high = Max().build(H, K)(vectors, head, WINDOW_EXAMPLE, 3)
    assert ((low - 1e-3 <= soft) & (soft <= high + 1e-3)).all()


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_aggregation_is_finite_on_huge_vectors(option):
    vectors, head, module = parts(option, 6)
    vectors = (vectors * 1e4).requires_grad_()
    logits = module(vectors, head, WINDOW_EXAMPLE, 3)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert vectors.grad.isfinite().all()


def test_attention_is_finite_on_huge_scores():
    vectors, head, module = parts(Attention(), 6)
    torch.nn.init.constant_(module.score.weight, 1e4)
    logits = module(vectors, head, WINDOW_EXAMPLE, 3).detach()
    expected = [reference(Attention(), vectors[WINDOW_EXAMPLE.eq(e)], head, module) for e in range(3)]
    np.testing.assert_allclose(logits.numpy(), np.stack(expected), rtol=1e-3, atol=1e-3)


def test_attention_weights_sum_to_one_over_an_example():
    vectors, _, module = parts(Attention(), 6)
    weights = module.weights(vectors, WINDOW_EXAMPLE, 3)
    for example in range(3):
        torch.testing.assert_close(weights[WINDOW_EXAMPLE.eq(example)].sum(dim=0), torch.ones(K))


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_aggregation_gives_fp32_under_autocast(option):
    vectors, head, module = parts(option, 6)
    exact = module(vectors, head, WINDOW_EXAMPLE, 3)
    with torch.autocast("cpu", torch.bfloat16):
        logits = module(vectors.bfloat16(), head, WINDOW_EXAMPLE, 3)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
def test_log_sum_exp_refuses_temperature(temperature):
    with pytest.raises(ValueError, match=f"temperature is {temperature}"):
        LogSumExp(temperature)


def test_attention_refuses_no_width():
    with pytest.raises(ValueError, match="hidden is 0"):
        Attention(hidden=0)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_one_vector_for_every_output_is_the_vector_they_share(option, seed):
    vectors, head, module = parts(option, 6, seed)
    repeated = vectors.unsqueeze(1).expand(6, K, H)
    expected = module(vectors, head, WINDOW_EXAMPLE, 3)
    torch.testing.assert_close(module(repeated, head, WINDOW_EXAMPLE, 3), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_output_reads_its_own_vectors_alone(option):
    """Column k of vectors per output is column k of an aggregation of the k-th vectors."""
    _, head, module = parts(option, 6)
    vectors = torch.randn(6, K, H)
    logits = module(vectors, head, WINDOW_EXAMPLE, 3)
    assert logits.dtype == torch.float32
    for k in range(K):
        shared = module(vectors[:, k], head, WINDOW_EXAMPLE, 3)
        torch.testing.assert_close(logits[:, k], shared[:, k], rtol=1e-4, atol=1e-5)
