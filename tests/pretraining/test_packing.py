import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from redsm5.pretraining.packing import packed, pieces

lengths = st.lists(st.integers(0, 300), min_size=1, max_size=40)


@given(lengths, st.integers(1, 64))
def test_pieces_cover_every_text_once_in_order(sizes, room):
    text, first, size = pieces(np.array(sizes), room)
    assert (size <= room).all()
    assert (size > 0).all()
    for i, total in enumerate(sizes):
        own = text == i
        assert [int(v) for v in np.concatenate([first[own], [total]] if total else [first[own]])] == [
            0, *np.cumsum(size[own]).tolist()
        ] if total else not own.any()  # fmt: skip
        assert own.sum() == -(-total // room)


def test_pieces_of_a_text_are_about_equally_long():
    assert pieces(np.array([257]), 128)[2].tolist() == [85, 86, 86]


@given(st.lists(st.integers(1, 32), max_size=60), st.integers(0, 5))
def test_every_piece_is_in_one_row_that_is_not_too_long(sizes, seed):
    rows = packed(np.array(sizes, dtype=np.int64), 32, seed)
    assert sorted(piece for row in rows for piece in row) == list(range(len(sizes)))
    assert all(sum(sizes[piece] for piece in row) <= 32 for row in rows)


def test_rows_are_nearly_full():
    sizes = np.random.default_rng(0).integers(10, 400, size=2000)
    rows = packed(sizes, 512, 0)
    assert sizes.sum() / (512 * len(rows)) > 0.93
