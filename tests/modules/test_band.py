import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from redsm5.modules.band import band_product, best_in_band, end_sums, in_band


@settings(deadline=None, max_examples=40)
@given(length=st.integers(1, 13), width=st.integers(1, 15), seed=st.integers(0, 999))
def test_band_product_and_its_gradient_equal_the_band_of_the_whole_table(length, width, seed):
    width = min(width, length)
    generator = torch.Generator().manual_seed(seed)
    starts = torch.randn(2, length, 3, 4, generator=generator, requires_grad=True)
    ends = torch.randn(2, length, 4, generator=generator, requires_grad=True)
    table = torch.einsum("wikd,wjd->wikj", starts, ends)
    band = band_product(starts, ends, width)
    expected = torch.zeros_like(band)
    for i in range(length):
        for t in range(min(width, length - i)):
            expected[:, i, :, t] = table[:, i, :, i + t]
    torch.testing.assert_close(band, expected)
    weights = torch.randn(band.shape, generator=generator)
    found = torch.autograd.grad((band * weights).sum(), [starts, ends])
    for one, other in zip(found, torch.autograd.grad((expected * weights).sum(), [starts, ends]), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("width", [1, 3, 6])
def test_in_band_and_end_sums_equal_loops(width):
    rng = np.random.default_rng(width)
    usable = rng.random((2, 6)) < 0.7
    values = rng.normal(size=(2, 6, width))
    ends = np.zeros((2, 6))
    for w, i, t in np.ndindex(2, 6, width):
        possible = i + t < 6 and usable[w, i] and usable[w, i + t]
        assert bool(in_band(torch.tensor(usable), width)[w, i, t]) == possible
        if i + t < 6:
            ends[w, i + t] += values[w, i, t]
        else:
            values[w, i, t] = 0
    np.testing.assert_allclose(end_sums(torch.tensor(values)).numpy(), ends, atol=1e-9)


def test_best_in_band_gives_the_best_spans_best_first():
    scores = torch.tensor([[[[1.0, 5.0], [3.0, 4.0], [2.0, 9.0]]]])
    fits = in_band(torch.ones(1, 1, 3, dtype=torch.bool), 2)
    columns = best_in_band(scores, fits, 3)
    assert [column.tolist() for column in columns] == [[0] * 3, [0] * 3, [0, 1, 1], [1, 2, 1], [5.0, 4.0, 3.0]]


def test_band_product_makes_no_table_of_all_pairs():
    """4,096 tokens, 9 outputs: a table over all pairs would have 150 million entries."""
    starts, ends = torch.randn(1, 4096, 9, 2), torch.randn(1, 4096, 2)
    with torch.profiler.profile(profile_memory=True) as profile:
        band = band_product(starts, ends, 16)
    assert band.shape == (1, 4096, 9, 16)
    assert max(event.self_cpu_memory_usage for event in profile.key_averages()) < 40e6
