import numpy as np
import pytest
from tiny_tokenizers import bert_like

from redsm5.datamodules.frames import Template
from redsm5.errors import UserError
from redsm5.pretraining.rows import Rows, held_out
from redsm5.pretraining.tokens import TextTokens, group_hash

FRAME = Template(bert_like()).alone()
CLS, SEP = 2, 3


def tokens_of(*texts, groups=None):
    names = groups or [str(i) for i in range(len(texts))]
    return TextTokens(
        np.array([token for text in texts for token in text], dtype=np.int32),
        np.ones(sum(map(len, texts)), dtype=bool),
        np.array([len(text) for text in texts], dtype=np.int64),
        np.array([group_hash(name) for name in names], dtype=np.uint64),
    )


def rows_of(tokens, *, join, max_length=8, unknown=1):
    texts = np.arange(len(tokens.lengths))
    return Rows(tokens, texts, FRAME, max_length=max_length, join=join, seed=0, unknown=unknown)


def test_row_of_one_text_by_hand():
    [row] = rows_of(tokens_of([10, 1, 12]), join=False)
    assert row.ids.tolist() == [CLS, 10, 1, 12, SEP]
    assert row.maskable.tolist() == [False, True, False, True, False]
    assert row.begins.tolist() == [False, True, True, True, False]
    assert row.segments.tolist() == [1] * 5
    assert row.positions.tolist() == [0, 1, 2, 3, 4]


def test_joined_texts_have_frames_segments_and_positions_of_their_own():
    [row] = rows_of(tokens_of([10, 11], [20]), join=True)
    first = {10: [CLS, 10, 11, SEP], 20: [CLS, 20, SEP]}
    order = [10, 20] if row.ids[1] == 10 else [20, 10]
    assert row.ids.tolist() == [*first[order[0]], *first[order[1]]]
    sizes = [len(first[text]) for text in order]
    assert row.segments.tolist() == [1] * sizes[0] + [2] * sizes[1]
    assert row.positions.tolist() == [*range(sizes[0]), *range(sizes[1])]


@pytest.mark.parametrize("join", [False, True])
def test_long_texts_are_cut_and_no_token_is_lost(join):
    texts = [list(range(10, 10 + n)) for n in (3, 25, 6, 14, 1)]
    rows = rows_of(tokens_of(*texts), join=join)
    assert rows.lengths.max() <= 8
    seen = [int(token) for row in rows for token in row.ids if token not in (CLS, SEP)]
    assert sorted(seen) == sorted(token for text in texts for token in text)
    assert [len(row.ids) for row in rows] == rows.lengths.tolist()


def test_a_tenth_is_held_out_in_whole_groups():
    rng = np.random.default_rng(0)
    groups = [f"author {i // 3}" for i in range(600)]
    tokens = tokens_of(*([7] * int(n) for n in rng.integers(20, 80, size=600)), groups=groups)
    train, out = held_out(tokens, 0.1)
    assert sorted([*train, *out]) == list(range(600))
    assert not {groups[i] for i in train} & {groups[i] for i in out}
    assert 0.095 < tokens.lengths[out].sum() / tokens.lengths.sum() <= 0.1


def test_which_are_held_out_does_not_depend_on_their_order():
    texts, groups = [[7] * 5] * 40, [f"author {i}" for i in range(40)]
    out = held_out(tokens_of(*texts, groups=groups), 0.1)[1]
    turned = held_out(tokens_of(*texts, groups=groups[::-1]), 0.1)[1]
    assert {groups[i] for i in out} == {groups[::-1][i] for i in turned}


def test_of_few_texts_the_smallest_is_held_out():
    train, out = held_out(tokens_of([7] * 50, [7] * 5, [7] * 60), 0.01)
    assert (train.tolist(), out.tolist()) == ([0, 2], [1])


def test_texts_of_one_author_are_refused():
    with pytest.raises(UserError, match="one author"):
        held_out(tokens_of([7] * 5, [7] * 6, groups=["a", "a"]), 0.1)
