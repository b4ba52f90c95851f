from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redsm5.datamodules.stratification import stratify


@st.composite
def groups(draw):
    """Labels per group as counts of posts, and posts per group."""
    n_groups = draw(st.integers(3, 40))
    n_labels = draw(st.integers(1, 9))
    sizes = np.array(draw(st.lists(st.integers(1, 8), min_size=n_groups, max_size=n_groups)), dtype=np.int64)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rates = rng.choice([0.02, 0.1, 0.4], size=n_labels)
    return rng.binomial(sizes[:, None], rates[None, :]).astype(np.int64), sizes


@settings(max_examples=150, deadline=None)
@given(groups(), st.integers(0, 1000))
def test_stratify_puts_the_rarest_label_into_every_part_and_leaves_none_empty(case, seed):
    labels, sizes = case
    part = stratify(labels, sizes, (0.7, 0.15, 0.15), seed)
    assert set(part.tolist()) == {0, 1, 2}
    counts = labels.sum(axis=0)
    groups_with = (labels > 0).sum(axis=0)
    present = [k for k in range(len(counts)) if counts[k]]
    if not present:
        return
    rarest = min(present, key=lambda k: (counts[k], groups_with[k], k))
    if groups_with[rarest] >= 3:
        assert {int(p) for p, n in zip(part, labels[:, rarest], strict=True) if n} == {0, 1, 2}


def test_stratify_is_closer_to_the_fractions_than_random_parts():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 4, size=700)
    rates = np.array([328, 124, 44, 102, 35, 124, 311, 59, 165]) / 1484
    labels = rng.binomial(sizes[:, None], rates[None, :]).astype(np.int64)
    fractions = np.array([0.7, 0.15, 0.15])

    def worst_error(part):
        shares = np.array([labels[part == p].sum(axis=0) for p in range(3)]) / labels.sum(axis=0)
        return float(np.abs(shares - fractions[:, None]).max())

    ours = stratify(labels, sizes, tuple(fractions), 0)
    random = [worst_error(rng.choice(3, size=len(sizes), p=fractions)) for _ in range(20)]
    assert worst_error(ours) < min(random)
    assert worst_error(ours) <= 0.05
    sizes_of_parts = np.array([sizes[ours == p].sum() for p in range(3)]) / sizes.sum()
    np.testing.assert_allclose(sizes_of_parts, fractions, atol=0.02)


def test_stratify_is_seeded():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, size=(50, 4))
    sizes = np.ones(50, dtype=np.int64)
    first = stratify(labels, sizes, (0.7, 0.15, 0.15), 3)
    np.testing.assert_array_equal(first, stratify(labels, sizes, (0.7, 0.15, 0.15), 3))
    assert not np.array_equal(first, stratify(labels, sizes, (0.7, 0.15, 0.15), 4))


def test_stratify_refuses_fewer_groups_than_parts():
    with pytest.raises(ValueError, match="2 groups cannot fill 3 parts"):
        stratify(np.ones((2, 1), dtype=np.int64), np.ones(2, dtype=np.int64), (0.4, 0.3, 0.3), 0)
