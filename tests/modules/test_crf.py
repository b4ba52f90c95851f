from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp
from span_batches import make_batch, random_batch

from redsm5.modules.decoding import SpanDecoding
from redsm5.modules.evidence_head import CRF


def output_of(batch, n_outputs, *, seed=0, scale=1.0, **fields):
    """A head, states and its output with random weights."""
    torch.manual_seed(seed)
    head = CRF(dropout=0.0, **fields).build(7, n_outputs)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    states = torch.randn(*batch.context_mask.shape, 7).requires_grad_()
    return head, states, head(states, batch)


def sequences_of(head, states, batch, w, k):
    """All tag sequences of the context of a window with their scores, from the head's parameters, in float64."""
    tokens = np.flatnonzero(batch.context_mask[w].numpy())
    emissions = (head.linear(states[w]).view(-1, head.n_outputs, 3)[tokens, k]).detach().double().numpy()
    transitions, start, end = (p[k].detach().double().numpy() for p in (head.transitions, head.start, head.end))
    rows = []
    for tags in product(range(3), repeat=len(tokens)):
        if tags[0] == 2 or any((a, b) == (0, 2) for a, b in pairwise(tags)):
            continue
        score = start[tags[0]] + end[tags[-1]] + sum(emissions[t, tag] for t, tag in enumerate(tags))
        rows.append((tags, score + sum(transitions[a, b] for a, b in pairwise(tags))))
    sequences, scores = zip(*rows, strict=True)
    return tokens, np.array(sequences), np.array(scores)


def reference(head, states, batch):
    """The parts by enumeration: means within examples, then over them."""
    parts = {name: [[] for _ in range(batch.size)] for name in ("positives", "nulls", "hard_negatives")}
    for w, k in np.ndindex(*batch.evidence_mask.shape):
        if not batch.evidence_mask[w, k]:
            continue
        example = int(batch.window_example[w])
        tokens, sequences, scores = sequences_of(head, states, batch, w, k)
        gold = [(i, j) for a, b, i, j in batch.spans.tolist() if (a, b) == (w, k)]
        tags = np.array([2 if any(i <= t <= j for i, j in gold) else 0 for t in tokens])
        tags[[t - tokens[0] for t, _ in gold]] = 1
        total = logsumexp(scores)
        loss = total - scores[(sequences == tags).all(axis=1)][0]
        parts["positives" if gold else "nulls"][example].append(loss)
        for a, b, i, j in batch.hard_negatives.tolist():
            if (a, b) == (w, k):
                outside = (sequences[:, i - tokens[0] : j + 1 - tokens[0]] == 0).all(axis=1)
                parts["hard_negatives"][example].append(total - logsumexp(scores[outside]))
    means = {name: [np.mean(x) for x in lists if x] for name, lists in parts.items()}
    return {name: np.mean(values) if values else 0.0 for name, values in means.items()}


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), span_rate=st.sampled_from([0.0, 0.4]), mask_rate=st.sampled_from([0.0, 0.3, 1.0]))
def test_loss_equals_an_enumeration_of_tags(seed, span_rate, mask_rate):
    batch = random_batch(seed, windows=3, length=6, span_rate=span_rate, mask_rate=mask_rate)
    head, states, output = output_of(batch, 3, seed=seed)
    losses = head.loss(output, batch)
    found = {name: part.mean.item() for name, part in losses.parts.items()}
    assert found == pytest.approx(reference(head, states, batch), rel=1e-3, abs=1e-4)
    losses.total.backward()
    assert states.grad.isfinite().all()


def test_token_probabilities_equal_marginals_of_begin_and_inside():
    batch = random_batch(1, windows=3, length=6)
    head, states, output = output_of(batch, 3)
    found = head.token_probabilities(output, batch)
    for w, k in np.ndindex(3, 3):
        tokens, sequences, scores = sequences_of(head, states, batch, w, k)
        p = np.exp(scores - logsumexp(scores))
        expected = np.zeros(6)
        expected[tokens] = [(p * (sequences[:, step] > 0)).sum() for step in range(len(tokens))]
        np.testing.assert_allclose(found[w, :, k].detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("max_tokens", [2, 9])
def test_candidates_are_the_spans_with_their_odds_against_outside(max_tokens):
    batch = random_batch(2, windows=3, length=6)
    batch.window_example, batch.labels = torch.arange(3), torch.zeros(3, 3)  # a window is an example
    head, states, output = output_of(batch, 3, max_tokens=max_tokens)
    found = head.candidates(output, batch, SpanDecoding())
    rows = {
        tuple(row[:4]): row[4]
        for row in zip(found.example, found.output, found.start, found.end, found.score, strict=True)
    }
    expected = {}
    for w, k in np.ndindex(3, 3):
        tokens, sequences, scores = sequences_of(head, states, batch, w, k)
        for a, b in product(range(len(tokens)), repeat=2):
            if a <= b < a + max_tokens:
                body = sequences[:, a : b + 1]
                span = (body[:, 0] == 1) & (body[:, 1:] == 2).all(axis=1)
                if b + 1 < len(tokens):
                    span &= sequences[:, b + 1] != 2
                odds = logsumexp(scores[span]) - logsumexp(scores[(body == 0).all(axis=1)])
                expected[w, k, 4 * tokens[a], 4 * tokens[b] + 3] = odds
    assert rows == pytest.approx(expected, abs=1e-3)


def test_forbidden_transitions_learn_nothing():
    batch = make_batch([[0, 1, 1, 1]], [0], 1, spans=[(0, 0, 1, 2)])
    head, _, output = output_of(batch, 1)
    head.loss(output, batch).total.backward()
    assert head.transitions.grad[0, 0, 2] == 0
    assert head.start.grad[0, 2] == 0
    assert (head.transitions.grad[0, 1:] != 0).any()


def test_crf_is_in_fp32_under_autocast():
    batch = random_batch(0)
    head, states, _ = output_of(batch, 3)
    with torch.autocast("cpu", torch.bfloat16):
        chains = head(states, batch).chains
        assert chains.log_partition.dtype == chains.alphas.dtype == chains.betas.dtype == torch.float32


@pytest.mark.parametrize(("field", "value"), [("max_tokens", 0), ("top_k", 0), ("dropout", 1.0)])
def test_crf_refuses(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        CRF(**{field: value})
