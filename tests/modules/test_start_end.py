import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax
from span_batches import make_batch, random_batch

from redsm5.modules.evidence_head import StartEnd
from redsm5.modules.start_end import MASKED, StartEndOutput


def output_of(batch, n_outputs, seed=0, scale=2.0):
    """Random masked logits that require a gradient."""
    head = StartEnd(dropout=0.0, inside=False).build(7, n_outputs)
    torch.manual_seed(seed)
    torch.nn.init.normal_(head.linear.weight, std=scale)
    states = torch.randn(*batch.context_mask.shape, 7).requires_grad_()
    return head, states, head(states, batch)


def loss_of(output, batch, **weights):
    return StartEnd(inside=False, **weights).build(1, 1).loss(output, batch)


def reference(output, batch, null_weight, hard_negative_weight):
    """The loss by plain loops in float64: DESIGN's definition, pair by pair."""
    starts, ends = output.start.detach().double().numpy(), output.end.detach().double().numpy()
    windows, _, n_outputs = starts.shape
    spans, hard_rows = batch.spans.tolist(), batch.hard_negatives.tolist()
    positives, nulls, hard = ([[] for _ in range(batch.size)] for _ in range(3))
    for w in range(windows):
        e = int(batch.window_example[w])
        for k in range(n_outputs):
            if not batch.evidence_mask[w, k]:
                continue
            log_p = log_softmax(starts[w, :, k]), log_softmax(ends[w, :, k])
            gold = [sorted({row[column] for row in spans if row[:2] == [w, k]}) for column in (2, 3)]
            if gold[0]:
                positives[e].append(-np.mean([log_p[i][gold[i]].mean() for i in range(2)]))
            else:
                nulls[e].append(-(log_p[0][0] + log_p[1][0]) / 2)
            for row in hard_rows:
                if row[:2] == [w, k]:
                    hard[e].append(-np.mean([np.log1p(-np.exp(log_p[i][row[2 + i]])) for i in range(2)]))

    def over_examples(lists):
        means = [np.mean(values) for values in lists if values]
        return float(np.mean(means)) if means else 0.0

    parts = over_examples(positives), over_examples(nulls), over_examples(hard)
    return parts[0] + null_weight * parts[1] + hard_negative_weight * parts[2], *parts


def test_forward_masks_all_but_context_and_null():
    batch = make_batch([[0, 0, 1, 1, 0], [0, 0, 0, 0, 0]], [0, 1], 2)
    _, _, output = output_of(batch, 2)
    allowed = torch.tensor([[1, 0, 1, 1, 0], [1, 0, 0, 0, 0]]).bool()
    for logits in (output.start, output.end):
        assert logits.shape == (2, 5, 2)
        assert (logits[~allowed] == MASKED).all()
        assert (logits[allowed].abs() < 1e3).all()


def test_forward_leaves_the_batch_as_it_is():
    batch = make_batch([[0, 1, 1]], [0], 2)
    output_of(batch, 2)
    assert batch.context_mask.tolist() == [[False, True, True]]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_forward_gives_finite_fp32_under_autocast(dtype):
    batch = random_batch(0)
    head, states, exact = output_of(batch, 3)
    with torch.autocast("cpu", dtype):
        output = head(states, batch)
    assert output.start.dtype == output.end.dtype == torch.float32
    assert output.start.isfinite().all()
    torch.testing.assert_close(output.start, exact.start, rtol=0.05, atol=0.2)
    assert loss_of(output, batch).total.isfinite()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    span_rate=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
    mask_rate=st.sampled_from([0.0, 0.3, 1.0]),
    null_weight=st.sampled_from([0.0, 0.4, 1.0]),
    hard_weight=st.sampled_from([0.0, 0.5, 2.0]),
)
def test_loss_equals_a_loop_over_pairs(seed, span_rate, mask_rate, null_weight, hard_weight):
    batch = random_batch(seed, span_rate=span_rate, mask_rate=mask_rate)
    _, states, output = output_of(batch, 3, seed)
    losses = loss_of(output, batch, null_weight=null_weight, hard_negative_weight=hard_weight)
    actual = [float(part.detach()) for part in (losses.total, *(part.mean for part in losses.parts.values()))]
    np.testing.assert_allclose(actual, reference(output, batch, null_weight, hard_weight), rtol=2e-4, atol=1e-5)
    losses.total.backward()
    assert states.grad.isfinite().all()


def test_loss_of_a_uniform_softmax_is_the_log_of_its_size():
    batch = make_batch([[0, 1, 1, 1]], [0], 2, spans=[(0, 0, 1, 2)])
    flat = StartEndOutput(start=torch.zeros(1, 4, 2), end=torch.zeros(1, 4, 2))
    losses = loss_of(flat, batch)
    assert losses.parts["positives"].mean.item() == pytest.approx(np.log(4))
    assert losses.parts["nulls"].mean.item() == pytest.approx(np.log(4))
    assert losses.total.item() == pytest.approx(2 * np.log(4))


def test_loss_is_least_where_probability_is_shared_by_all_gold_starts():
    batch = make_batch([[0, 1, 1, 1, 1]], [0], 1, spans=[(0, 0, 1, 2), (0, 0, 3, 3)])
    peaked = torch.full((1, 5, 1), -20.0)
    both, one = peaked.clone(), peaked.clone()
    both[0, [1, 3]] = 5.0
    one[0, 1] = 5.0
    end = torch.zeros(1, 5, 1)
    of_both = loss_of(StartEndOutput(both, end), batch).parts["positives"].mean
    of_one = loss_of(StartEndOutput(one, end), batch).parts["positives"].mean
    # A uniform target over two positions has the entropy log 2; the flat ends cost log 5.
    assert of_both.item() == pytest.approx((np.log(2) + np.log(5)) / 2, abs=1e-4)
    assert of_one > of_both + 1


@pytest.mark.parametrize(
    ("spans", "hard_negatives", "mask"),
    [
        ([], [], [[0, 0]]),
        ([(0, 0, 1, 2)], [(0, 1, 1, 2)], [[0, 0]]),
    ],
    ids=["nothing", "all masked"],
)
def test_loss_without_anything_to_learn_is_zero_with_zero_gradient(spans, hard_negatives, mask):
    batch = make_batch([[0, 1, 1, 1]], [0], 2, spans=spans, hard_negatives=hard_negatives, evidence_mask=mask)
    _, states, output = output_of(batch, 2)
    losses = loss_of(output, batch)
    losses.total.backward()
    assert losses.total.item() == 0
    assert losses.examples.tolist() == [0]
    assert (states.grad == 0).all()


def test_loss_without_nulls_is_that_of_positives():
    batch = make_batch([[0, 1, 1, 1]], [0], 1, spans=[(0, 0, 1, 2)])
    losses = loss_of(output_of(batch, 1)[2], batch, null_weight=3.0)
    assert losses.parts["nulls"].mean.item() == 0
    assert losses.total.item() == losses.parts["positives"].mean.item() > 0


def test_masked_pair_gets_no_gradient():
    batch = make_batch([[0, 1, 1, 1]], [0], 2, spans=[(0, 0, 1, 2)], evidence_mask=[[0, 1]])
    _, _, output = output_of(batch, 2)
    start_gradient, end_gradient = torch.autograd.grad(
        loss_of(output, batch).total, [output.start, output.end], materialize_grads=True
    )
    for gradient in (start_gradient, end_gradient):
        assert (gradient[..., 0] == 0).all()
        assert (gradient[..., 1] != 0).any()


def test_long_example_weighs_no_more_than_a_short_one():
    # Example 0 has one window, example 1 the same window n times: each counts once.
    context, one = [0, 1, 1, 1, 1], [(0, 0, 1, 2)]
    start, end = torch.randn(2, 5, 2), torch.randn(2, 5, 2)
    short = make_batch([context] * 2, [0, 1], 2, spans=one, hard_negatives=[(1, 1, 2, 3)])
    index = torch.tensor([0, 1, 1, 1, 1])
    long = make_batch([context] * 5, index, 2, spans=one, hard_negatives=[(window, 1, 2, 3) for window in range(1, 5)])
    of_short = loss_of(StartEndOutput(start, end), short)
    of_long = loss_of(StartEndOutput(start[index], end[index]), long)
    torch.testing.assert_close(of_long.total, of_short.total)
    torch.testing.assert_close(of_long.examples, of_short.examples)


def test_examples_hold_each_examples_own_weighted_sum():
    batch = random_batch(3)
    _, _, output = output_of(batch, 3)
    losses = loss_of(output, batch, null_weight=0.7, hard_negative_weight=0.3)
    for e in range(batch.size):
        rows = batch.window_example == e
        keep = {int(w): i for i, w in enumerate(rows.nonzero()[:, 0])}

        def local(table, keep=keep):
            return [(keep[r[0]], *r[1:]) for r in table.tolist() if r[0] in keep]

        alone = make_batch(
            batch.context_mask[rows],
            [0] * len(keep),
            3,
            spans=local(batch.spans),
            hard_negatives=local(batch.hard_negatives),
            evidence_mask=batch.evidence_mask[rows],
        )
        own = reference(StartEndOutput(output.start[rows], output.end[rows]), alone, 0.7, 0.3)[0]
        assert losses.examples[e].item() == pytest.approx(own, rel=1e-4)


@pytest.mark.parametrize("margin", [0.0, 30.0, 1e4])
def test_hard_negative_that_is_certain_still_has_a_gradient(margin):
    batch = make_batch([[0, 1, 1, 1]], [0], 1, hard_negatives=[(0, 0, 1, 2)])
    start = torch.zeros(1, 4, 1)
    start[0, 1] = margin
    start.requires_grad_()
    losses = loss_of(StartEndOutput(start, torch.zeros(1, 4, 1)), batch, null_weight=0.0, hard_negative_weight=0.5)
    losses.total.backward()
    # -log(1 - p) with p = e^m / (e^m + 3), which is log((e^m + 3) / 3); the end's p is 1/4.
    expected = (np.logaddexp(margin, np.log(3)) - np.log(3) + np.log(4 / 3)) / 2
    assert losses.parts["hard_negatives"].mean.item() == pytest.approx(expected, rel=1e-5)
    assert start.grad.isfinite().all()
    p = 1 / (1 + 3 * np.exp(-margin))
    assert start.grad[0, 1, 0].item() == pytest.approx(0.5 * 0.5 * p, rel=1e-4)


def test_training_on_the_loss_finds_gold_and_avoids_the_hard_negative():
    batch = make_batch([[0, 1, 1, 1, 1, 1]] * 2, [0, 1], 1, spans=[(0, 0, 2, 3)], hard_negatives=[(1, 0, 4, 5)])
    logits = torch.zeros(2, 2, 6, 1)
    logits[:, 1, 4:] = 4.0
    logits.requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        loss_of(StartEndOutput(logits[0], logits[1]), batch).total.backward()
        optimizer.step()
    assert logits[0, :, :, 0].argmax(dim=-1).tolist() == [2, 0]
    assert logits[1, :, :, 0].argmax(dim=-1).tolist() == [3, 0]


@pytest.mark.parametrize("name", ["null_weight", "hard_negative_weight"])
@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_start_end_refuses_weight(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        StartEnd(**{name: value})


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_start_end_refuses_dropout(dropout):
    with pytest.raises(ValueError, match=f"dropout is {dropout}"):
        StartEnd(dropout)


def by_enumeration(start, end):
    """P(start <= t) P(end >= t) of one window and output, from the definition."""
    p, q = softmax(start), softmax(end)
    return [sum(p[1 : t + 1]) * sum(q[t:]) if t else 0.0 for t in range(len(start))]


def test_token_probabilities_without_inside_logits_equal_the_definition():
    batch = make_batch([[0, 1, 1, 1, 0], [0, 0, 1, 1, 1]], [0, 1], 2)
    head, states, output = output_of(batch, 2)
    probabilities = head.token_probabilities(output, batch)
    for w in range(2):
        for k in range(2):
            expected = by_enumeration(*(x[w, :, k].detach().double().numpy() for x in (output.start, output.end)))
            expected = np.where(batch.context_mask[w], expected, 0.0)
            np.testing.assert_allclose(probabilities[w, :, k].detach(), expected, atol=1e-6)
    probabilities.sum().backward()
    assert states.grad.abs().sum() > 0


def test_token_probabilities_are_those_of_inside_logits():
    batch = make_batch([[0, 0, 1, 1, 0]], [0], 2)
    head = StartEnd(dropout=0.0).build(7, 2)
    output = head(torch.randn(1, 5, 7), batch)
    expected = np.where(batch.context_mask[..., None], expit(output.inside.detach().numpy()), 0.0)
    np.testing.assert_allclose(head.token_probabilities(output, batch).detach(), expected, atol=1e-6)
