from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redsm5.datamodules.batching import BatchSize, TokenBudget
from redsm5.datamodules.plan import plan

ROOM = 254


def sizes(n, seed=0, max_length=256, stride=64, max_windows=8):
    """Windows and lengths of posts with the lengths of the corpus: lognormal, mean about 380 tokens, a heavy tail."""
    tokens = np.clip(np.random.default_rng(seed).lognormal(5.5, 0.95, n), 2, 9000).astype(np.int64)
    room = max_length - 2
    windows = np.where(tokens <= room, 1, 1 + -(-(tokens - room) // (room - stride)))
    return np.minimum(windows, max_windows), np.minimum(tokens, room) + 2


def flat(steps):
    return [batch.tolist() for step in steps for batch in step]


batchings = st.one_of(
    st.builds(BatchSize, train=st.integers(1, 20), eval=st.integers(1, 20)),
    st.builds(TokenBudget, train_tokens=st.integers(1, 5000), eval_tokens=st.integers(1, 5000)),
)


@settings(deadline=None)
@given(batchings, st.integers(1, 80), st.integers(0, 50), st.integers(1, 4), st.booleans())
def test_plan_holds_every_example_and_gives_ranks_and_epochs_equal_counts(batching, n, seed, world_size, training):
    windows, lengths = sizes(n, seed)
    counts = set()
    for epoch in range(3):
        steps = plan(windows, lengths, batching, seed=seed, epoch=epoch, training=training, world_size=world_size)
        assert {len(step) for step in steps} == {world_size}
        counts.add(len(steps))
        distinct = {tuple(batch) for batch in flat(steps)}
        assert sorted(example for batch in distinct for example in batch) == list(range(n))
        assert len(flat(steps)) - len(distinct) < world_size
    assert len(counts) == 1


@settings(deadline=None)
@given(st.integers(64, 8000), st.integers(1, 200), st.integers(0, 20))
def test_token_budget_is_kept_except_by_a_single_example(budget, n, seed):
    windows, lengths = sizes(n, seed)
    steps = plan(windows, lengths, TokenBudget(train_tokens=budget), seed=0, epoch=seed, training=True)
    for batch in flat(steps):
        assert windows[batch].sum() * lengths[batch].max() <= budget or len(batch) == 1


def test_batch_size_is_kept():
    windows, lengths = sizes(50)
    assert sorted(len(b) for b in flat(plan(windows, lengths, BatchSize(train=8), seed=0, epoch=0, training=True))) == [
        2,
        *[8] * 6,
    ]
    evaluation = plan(windows, lengths, BatchSize(train=8, eval=20), seed=0, epoch=0, training=False)
    assert [len(b) for b in flat(evaluation)] == [20, 20, 10]


def useful_share(batches, windows, lengths):
    """Tokens that are not padding, of all; all windows of an example have the same length, or there is one."""
    useful = sum(int((windows[b] * lengths[b]).sum()) for b in batches)
    return useful / sum(int(windows[b].sum() * lengths[b].max()) for b in batches)


@pytest.mark.parametrize("batching", [BatchSize(train=8), TokenBudget(train_tokens=4096)])
@pytest.mark.parametrize("max_length", [256, 512])
def test_hardly_a_token_is_padding(batching, max_length):
    windows, lengths = sizes(1038, max_length=max_length)
    steps = plan(windows, lengths, batching, seed=0, epoch=3, training=True)
    ours = useful_share([np.array(b) for b in flat(steps)], windows, lengths)
    order = np.random.default_rng(0).permutation(1038)
    random = useful_share([order[i : i + 8] for i in range(0, 1038, 8)], windows, lengths)
    assert ours >= 0.97
    assert random < 0.93


def test_the_same_seed_gives_the_same_batches_and_every_epoch_others():
    windows, lengths = sizes(300)

    def epoch(seed, number):
        return flat(plan(windows, lengths, BatchSize(), seed=seed, epoch=number, training=True))

    assert epoch(1, 0) == epoch(1, 0)
    assert epoch(1, 0) != epoch(1, 1)
    assert epoch(1, 0) != epoch(2, 0)
    composition = [{frozenset(b) for b in epoch(1, number)} for number in range(2)]
    assert len(composition[0] & composition[1]) < len(composition[0]) / 4


def test_evaluation_is_in_order_whatever_the_seed():
    windows, lengths = sizes(100)
    first = flat(plan(windows, lengths, BatchSize(), seed=1, epoch=0, training=False))
    assert first == flat(plan(windows, lengths, BatchSize(), seed=2, epoch=7, training=False))
    longest = [lengths[b].max() for b in first]
    assert longest == sorted(longest)


def test_ranks_get_neighbours_in_size():
    windows, lengths = sizes(400, max_windows=1)
    steps = plan(windows, lengths, BatchSize(train=4), seed=0, epoch=0, training=True, world_size=4)
    within = np.mean([np.ptp([lengths[b].max() for b in step]) for step in steps[:-1]])
    assert within < 20


def test_no_examples_make_no_steps():
    empty = np.zeros(0, dtype=np.int64)
    assert plan(empty, empty, BatchSize(), seed=0, epoch=0, training=True) == []


@pytest.mark.parametrize(
    ("option", "field"),
    [(BatchSize, "train"), (BatchSize, "eval"), (TokenBudget, "train_tokens"), (TokenBudget, "eval_tokens")],
)
def test_limits_below_one_are_refused(option, field):
    with pytest.raises(ValueError, match=f"{field} is 0; accepted are whole numbers of at least 1"):
        option(**{field: 0})
