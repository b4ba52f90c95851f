import pytest
from hypothesis import given
from hypothesis import strategies as st

from redsm5.batch_search.units import MOST_EVAL_EXAMPLES, Batches, Shape, batches, examples_within

POSTS = (30, 12, 8, 3, 1, 1)


def shape(**changes):
    return Shape(**{"train": 4, "evaluation": POSTS, "max_length": 128, "by_tokens": False, **changes})


@pytest.mark.parametrize(
    ("windows", "eval_windows", "effective", "expected"),
    [
        (43, 500, None, Batches(10, MOST_EVAL_EXAMPLES, None, False)),
        (43, 60, None, Batches(10, 11, None, False)),  # posts that are not there count as the smallest
        (43, 42, None, Batches(10, 2, None, False)),
        (4, 30, None, Batches(1, 1, None, False)),
        (3, 30, None, None),  # not one example in training
        (43, 29, None, None),  # not the longest post in evaluation
        (43, 30, 64, Batches(8, 1, 8, False)),
        (43, 30, 60, Batches(10, 1, 6, False)),
        (43, 30, 7, Batches(7, 1, 1, False)),
        (4000, 30, None, Batches(256, 1, None, False)),
    ],
)
def test_batches_hold_as_many_of_the_largest_examples_as_fit(windows, eval_windows, effective, expected):
    assert batches(shape(), windows, eval_windows, effective=effective) == expected


def test_batches_of_a_token_budget_count_tokens():
    found = batches(shape(by_tokens=True), 43, 60)
    assert found == Batches(43 * 128, 60 * 128, None, True)
    assert found.options() == {
        "data.batching.init_args.train_tokens": 43 * 128,
        "data.batching.init_args.eval_tokens": 60 * 128,
    }


@given(effective=st.integers(1, 300), windows=st.integers(4, 2000))
def test_batches_times_accumulation_is_the_effective_batch(effective, windows):
    found = batches(shape(), windows, 30, effective=effective)
    assert found.train * found.accumulate == effective
    assert found.train * 4 <= windows
    larger = [n for n in range(found.train + 1, min(windows // 4, 256, effective) + 1) if effective % n == 0]
    assert larger == []


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=300), extra=st.integers(0, 500), data=st.data())
def test_any_batch_of_so_many_examples_fits(sizes, extra, data):
    ordered = sorted(sizes, reverse=True)
    windows = ordered[0] + extra
    count = examples_within(ordered, windows)
    assert 1 <= count <= MOST_EVAL_EXAMPLES
    chosen = data.draw(st.permutations(sizes))[:count]
    assert sum(chosen) <= windows


def test_evaluation_is_tried_up_to_a_few_chunks_and_always_with_the_longest_post():
    assert shape(evaluation=(30,) * 100).most_eval_windows(tokens_per_forward=16_384) == 512
    assert shape().most_eval_windows(tokens_per_forward=16_384) == sum(POSTS)
    assert shape(evaluation=(700, 1)).most_eval_windows(tokens_per_forward=16_384) == 700
    assert shape(evaluation=(2, 1)).most_eval_windows(tokens_per_forward=16_384) == 3


def test_batches_of_a_token_budget_stop_at_the_largest_batch_of_interest():
    assert batches(shape(by_tokens=True, most=5), 2048, 60).train == 5 * 4 * 128
