import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from span_batches import make_batch, random_batch

from redsm5.modules.decoding import SpanDecoding
from redsm5.modules.evidence_head import Biaffine


def output_of(batch, n_outputs, *, max_tokens=4, seed=0, scale=0.5):
    """A head, states and its output with random weights."""
    torch.manual_seed(seed)
    head = Biaffine(dropout=0.0, max_tokens=max_tokens, hidden=5).build(7, n_outputs)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    states = torch.randn(*batch.context_mask.shape, 7).requires_grad_()
    return head, states, head(states, batch)


def spans_of(batch, window, max_tokens):
    tokens = np.flatnonzero(batch.context_mask[window].numpy())
    return [(i, j) for i in tokens for j in tokens if i <= j < i + max_tokens]


def log_distribution(output, batch, window, k, max_tokens):
    """Log-probability of null (None) and of every span, by enumeration in float64."""
    names = [None, *spans_of(batch, window, max_tokens)]
    scores = [output.null[window, k].item()]
    scores += [output.spans[window, k, i, j - i].item() for i, j in names[1:]]
    total = logsumexp(scores)
    return {name: score - total for name, score in zip(names, scores, strict=True)}


def reference(output, batch, max_tokens):
    """The parts by loops: means within examples, then over them."""
    parts = {name: [[] for _ in range(batch.size)] for name in ("positives", "nulls", "hard_negatives")}
    for w, k in np.ndindex(*batch.evidence_mask.shape):
        gold = [(i, j) for a, b, i, j in batch.spans.tolist() if (a, b) == (w, k)]
        if not batch.evidence_mask[w, k] or any(j - i >= max_tokens for i, j in gold):
            continue
        log_p, example = log_distribution(output, batch, w, k, max_tokens), int(batch.window_example[w])
        if gold:
            parts["positives"][example].append(-np.mean([log_p[span] for span in gold]))
        else:
            parts["nulls"][example].append(-log_p[None])
        for a, b, i, j in batch.hard_negatives.tolist():
            if (a, b) == (w, k) and j - i < max_tokens:
                others = [p for span, p in log_p.items() if span != (i, j)]
                parts["hard_negatives"][example].append(-logsumexp(others))
    means = {name: [np.mean(x) for x in lists if x] for name, lists in parts.items()}
    return {name: np.mean(values) if values else 0.0 for name, values in means.items()}


def test_scores_are_biaffine_in_the_projections():
    batch = make_batch([[0, 1, 1, 1]], [0], 2)
    head, states, output = output_of(batch, 2)
    starts = torch.nn.functional.gelu(states @ head.starts[0].weight.T + head.starts[0].bias)[0].detach().numpy()
    ends = torch.nn.functional.gelu(states @ head.ends[0].weight.T + head.ends[0].bias)[0].detach().numpy()
    weight = head.bilinear.weight.detach().numpy().reshape(2, 6, 6)  # output, end, start
    for k in range(2):
        u, of_end, of_start, bias = weight[k, :5, :5], weight[k, :5, 5], weight[k, 5, :5], weight[k, 5, 5]
        for i, j in spans_of(batch, 0, 4):
            expected = ends[j] @ u @ starts[i] + of_end @ ends[j] + of_start @ starts[i] + bias
            assert output.spans[0, k, i, j - i].item() == pytest.approx(expected, abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    max_tokens=st.integers(1, 10),
    span_rate=st.sampled_from([0.0, 0.4, 1.0]),
    mask_rate=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_loss_equals_an_enumeration_of_spans(seed, max_tokens, span_rate, mask_rate):
    batch = random_batch(seed, span_rate=span_rate, mask_rate=mask_rate)
    head, states, output = output_of(batch, 3, max_tokens=max_tokens, seed=seed)
    losses = head.loss(output, batch)
    found = {name: part.mean.item() for name, part in losses.parts.items()}
    assert found == pytest.approx(reference(output, batch, max_tokens), rel=1e-3, abs=1e-4)
    losses.total.backward()
    assert states.grad.isfinite().all()


def test_evidence_longer_than_the_band_is_neither_positive_nor_null():
    batch = make_batch([[0, 1, 1, 1, 1]], [0], 2, spans=[(0, 0, 1, 4)], hard_negatives=[(0, 1, 1, 4)])
    head, _, output = output_of(batch, 2, max_tokens=3)
    losses = head.loss(output, batch)
    of_null, of_spans = torch.autograd.grad(losses.total, [output.null, output.spans])
    assert losses.parts["positives"].having == losses.parts["hard_negatives"].having == 0
    assert (of_null[0, 0] == 0).all()
    assert (of_spans[0, 0] == 0).all()
    assert of_null[0, 1] != 0


@pytest.mark.parametrize("max_tokens", [2, 9])
def test_token_probabilities_equal_sums_over_the_spans_that_hold_the_token(max_tokens):
    batch = random_batch(1)
    head, _, output = output_of(batch, 3, max_tokens=max_tokens)
    found = head.token_probabilities(output, batch)
    for w, k in np.ndindex(5, 3):
        log_p = log_distribution(output, batch, w, k, max_tokens)
        for t in range(found.shape[1]):
            held = sum(np.exp(p) for span, p in log_p.items() if span is not None and span[0] <= t <= span[1])
            assert found[w, t, k].item() == pytest.approx(held, abs=1e-5)


@pytest.mark.parametrize("max_characters", [3, 7, 600])
def test_candidates_are_all_spans_of_the_band_with_their_margin_over_null(max_characters):
    batch = random_batch(2)
    batch.window_example, batch.labels = torch.arange(5), torch.zeros(5, 3)  # a window is an example
    head, _, output = output_of(batch, 3)
    found = head.candidates(output, batch, SpanDecoding(max_characters=max_characters))
    rows = {
        tuple(row[:4]): row[4]
        for row in zip(found.example, found.output, found.start, found.end, found.score, strict=True)
    }
    expected = {}
    for w, k in np.ndindex(5, 3):
        for i, j in spans_of(batch, w, 4):
            if 4 * (j - i) + 3 <= max_characters:
                expected[w, k, 4 * i, 4 * j + 3] = (output.spans[w, k, i, j - i] - output.null[w, k]).item()
    assert rows == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("field", "value"), [("max_tokens", 0), ("top_k", 0), ("hidden", 0), ("null_weight", -1.0)])
def test_biaffine_refuses(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        Biaffine(**{field: value})
