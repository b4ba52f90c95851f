from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redsm5.datamodules.windows import inside, select_windows, window_count, window_slices


@pytest.mark.parametrize(
    ("n_tokens", "room", "stride", "expected"),
    [
        (0, 10, 2, [(0, 0)]),
        (7, 10, 2, [(0, 7)]),
        (10, 10, 2, [(0, 10)]),
        (11, 10, 2, [(0, 10), (1, 11)]),
        (18, 10, 2, [(0, 10), (8, 18)]),
        (19, 10, 2, [(0, 10), (8, 18), (9, 19)]),
        (20, 10, 0, [(0, 10), (10, 20)]),
        (4, 2, 1, [(0, 2), (1, 3), (2, 4)]),
    ],
)
def test_window_slices(n_tokens, room, stride, expected):
    assert [tuple(row) for row in window_slices(n_tokens, room, stride).tolist()] == expected


lengths = st.tuples(st.integers(0, 3000), st.integers(1, 300)).flatmap(
    lambda pair: st.tuples(st.just(pair[0]), st.just(pair[1]), st.integers(0, pair[1] - 1))
)


@given(lengths)
def test_window_slices_cover_every_token_and_neighbours_share_the_stride(case):
    n_tokens, room, stride = case
    windows = window_slices(n_tokens, room, stride)
    seen = np.zeros(n_tokens, dtype=bool)
    for start, end in windows:
        seen[start:end] = True
    assert seen.all()
    assert len(windows) == window_count(n_tokens, room, stride)
    sizes = windows[:, 1] - windows[:, 0]
    assert (sizes == min(room, n_tokens)).all()
    shared = windows[:-1, 1] - windows[1:, 0]
    assert (shared >= stride).all()
    assert (shared[:-1] == stride).all()
    assert (np.diff(windows[:, 0]) > 0).all()


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=40),
    st.one_of(st.none(), st.integers(1, 12)),
    st.integers(0, 10),
)
def test_select_windows_takes_the_highest_priority_first(priority, max_windows, seed):
    priority = np.array(priority)
    chosen = select_windows(priority, max_windows, np.random.default_rng(seed))
    expected = len(priority) if max_windows is None else min(len(priority), max_windows)
    assert len(set(chosen.tolist())) == expected
    assert (np.diff(chosen) > 0).all()
    assert sorted(priority[chosen].tolist(), reverse=True) == sorted(priority.tolist(), reverse=True)[:expected]


def test_select_windows_samples_the_rest():
    priority = np.array([0, 2, 0, 0, 0, 0])
    drawn = {tuple(select_windows(priority, 2, np.random.default_rng(seed)).tolist()) for seed in range(40)}
    assert drawn == {(0, 1), (1, 2), (1, 3), (1, 4), (1, 5)}


def test_inside_tells_whole_from_cut():
    windows = np.array([[0, 10], [8, 18]])
    spans = np.array([[0, 9], [8, 9], [9, 10], [10, 17], [18, 20], [0, 17]])
    whole, cut = inside(spans, windows)
    np.testing.assert_array_equal(whole, [[1, 1, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0]])
    np.testing.assert_array_equal(cut, [[0, 0, 1, 0, 0, 1], [1, 0, 0, 0, 0, 1]])
