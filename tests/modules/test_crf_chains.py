from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp, softmax
from torchcrf import CRF as ReferenceCRF

from redsm5.modules.crf_chains import BEGIN, FORBIDDEN, INSIDE, OUTSIDE, Chains


def random_chains(seed, lengths, *, scale=1.5, steps=None):
    """Chains of these lengths with random potentials; O never goes to I, nor does a chain begin with I."""
    generator = torch.Generator().manual_seed(seed)
    n, longest = len(lengths), steps or max(lengths)

    def draw(*shape):
        return torch.randn(*shape, generator=generator) * scale

    transitions, start = draw(n, 3, 3), draw(n, 3)
    transitions[:, OUTSIDE, INSIDE] = FORBIDDEN
    start[:, INSIDE] = FORBIDDEN
    mask = torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)
    return Chains(draw(n, longest, 3), mask, transitions, start, draw(n, 3))


def enumerated(chains, n):
    """All tag sequences of a chain with their scores, summed step by step in float64."""
    length = int(chains.mask[n].sum())
    emissions, transitions = chains.emissions[n].double().numpy(), chains.transitions[n].double().numpy()
    start, end = chains.start[n].double().numpy(), chains.end[n].double().numpy()
    sequences = list(product(range(3), repeat=length))
    scores = []
    for tags in sequences:
        score = start[tags[0]] + end[tags[-1]] + sum(emissions[t, tag] for t, tag in enumerate(tags))
        scores.append(score + sum(transitions[a, b] for a, b in pairwise(tags)))
    return np.array(sequences), np.array(scores)


CHAINS = st.builds(random_chains, st.integers(0, 10_000), st.lists(st.integers(1, 5), min_size=1, max_size=3))


@settings(deadline=None, max_examples=40)
@given(CHAINS)
def test_partition_and_marginals_equal_those_over_all_sequences(chains):
    for n in range(len(chains.mask)):
        sequences, scores = enumerated(chains, n)
        assert chains.log_partition[n].item() == pytest.approx(logsumexp(scores), abs=1e-4)
        p = softmax(scores)
        marginals = chains.log_marginals()[n].exp().numpy()
        for step, tag in product(range(sequences.shape[1]), range(3)):
            assert marginals[step, tag] == pytest.approx(p[sequences[:, step] == tag].sum(), abs=1e-5)


@settings(deadline=None, max_examples=25)
@given(CHAINS, st.integers(0, 10_000))
def test_likelihood_equals_the_share_of_the_sequence(chains, seed):
    rng = np.random.default_rng(seed)
    tags = torch.zeros(chains.mask.shape, dtype=torch.long)
    expected = []
    for n in range(len(tags)):
        sequences, scores = enumerated(chains, n)
        possible = np.flatnonzero(scores > FORBIDDEN / 2)
        i = rng.choice(possible)
        tags[n, : sequences.shape[1]] = torch.tensor(sequences[i])
        expected.append(scores[i] - logsumexp(scores))
    np.testing.assert_allclose(chains.log_likelihood(tags).numpy(), expected, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=25)
@given(CHAINS)
def test_span_odds_and_outside_equal_sums_over_sequences(chains):
    begin, end, single = chains.span_odds()
    for n in range(len(chains.mask)):
        sequences, scores = enumerated(chains, n)
        length = sequences.shape[1]
        for i in range(length):
            for j in range(i, length):
                body = sequences[:, i : j + 1]
                span = (body[:, 0] == BEGIN) & (body[:, 1:] == INSIDE).all(axis=1)
                if j + 1 < length:
                    span &= sequences[:, j + 1] != INSIDE
                outside = logsumexp(scores[(body == OUTSIDE).all(axis=1)])
                found = single[n, i] if i == j else begin[n, i] + end[n, j]
                assert found.item() == pytest.approx(logsumexp(scores[span]) - outside, abs=1e-3)
                rows = torch.tensor([i]), torch.tensor([j]), torch.tensor([n])
                assert chains.log_outside(*rows).item() == pytest.approx(outside - logsumexp(scores), abs=1e-3)


@pytest.mark.parametrize("lengths", [[7], [1, 7, 4], [3, 3]])
def test_likelihood_and_its_gradient_equal_those_of_pytorch_crf(lengths):
    """One set of transitions, batches of unequal lengths; its marginals are the gradient of the partition."""
    torch.manual_seed(0)
    reference = ReferenceCRF(3, batch_first=True)
    with torch.no_grad():
        reference.transitions[OUTSIDE, INSIDE] = reference.start_transitions[INSIDE] = -1e4
    n, longest = len(lengths), max(lengths)
    emissions = torch.randn(n, longest, 3, requires_grad=True)
    mask = torch.arange(longest) < torch.tensor(lengths).unsqueeze(1)
    tags = torch.tensor([0, 1, 2, 1, 2, 2, 0])[:longest].repeat(n, 1)
    chains = Chains(
        emissions,
        mask,
        reference.transitions.expand(n, -1, -1),
        reference.start_transitions.expand(n, -1),
        reference.end_transitions.expand(n, -1),
    )
    expected = reference(emissions, tags, mask=mask, reduction="none")
    found = chains.log_likelihood(tags)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    parameters = [emissions, reference.transitions, reference.start_transitions, reference.end_transitions]
    of_found = torch.autograd.grad(found.sum(), parameters, retain_graph=True)
    for one, other in zip(of_found, torch.autograd.grad(expected.sum(), parameters), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    again = reference(emissions, tags, mask=mask, reduction="none")
    one_hot = torch.nn.functional.one_hot(tags, 3) * mask.unsqueeze(-1)
    marginals = one_hot - torch.autograd.grad(again.sum(), emissions)[0]
    torch.testing.assert_close(chains.log_marginals().exp()[mask], marginals[mask], rtol=1e-3, atol=1e-5)


def test_padding_and_company_change_nothing():
    chains = random_chains(3, [4, 2], steps=9)
    for n, length in enumerate((4, 2)):
        alone = Chains(
            chains.emissions[n : n + 1, :length],
            chains.mask[n : n + 1, :length],
            chains.transitions[n : n + 1],
            chains.start[n : n + 1],
            chains.end[n : n + 1],
        )
        torch.testing.assert_close(chains.log_partition[n], alone.log_partition[0])
        torch.testing.assert_close(chains.log_marginals()[n, :length], alone.log_marginals()[0])
        for one, other in zip(chains.span_odds(), alone.span_odds(), strict=True):
            torch.testing.assert_close(one[n, :length], other[0], rtol=1e-4, atol=1e-4)


def test_chain_without_steps_has_probability_one_and_no_gradient():
    chains = random_chains(0, [0, 3])
    for name in ("emissions", "transitions", "start", "end"):
        getattr(chains, name).requires_grad_()
    likelihood = chains.log_likelihood(torch.zeros(2, 3, dtype=torch.long))
    assert likelihood[0].item() == 0
    likelihood[0].backward()
    assert all((getattr(chains, name).grad == 0).all() for name in ("emissions", "transitions", "start", "end"))


def test_long_chain_of_large_potentials_stays_finite():
    chains = random_chains(0, [2000], scale=50.0)
    assert chains.log_partition.isfinite().all()
    assert chains.log_marginals().exp().sum(dim=2).sub(1).abs().max() < 1e-3
    assert all(values.isfinite().all() for values in chains.span_odds())
