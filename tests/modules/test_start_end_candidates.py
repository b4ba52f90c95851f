import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from span_batches import make_batch, random_batch

from redsm5.modules.decoding import SpanDecoding
from redsm5.modules.evidence_head import StartEnd
from redsm5.modules.start_end import StartEndOutput


def random_output(batch, n_outputs, seed):
    """The head's output on random states: masked outside context and null."""
    torch.manual_seed(seed)
    head = StartEnd(dropout=0.0, inside=False).build(7, n_outputs)
    torch.nn.init.normal_(head.linear.weight)
    return head(torch.randn(*batch.context_mask.shape, 7), batch)


def rows_of(output, batch, decoding, top_k=20):
    found = StartEnd(inside=False, top_k=top_k).build(1, 1).candidates(output, batch, decoding)
    columns = (found.example, found.output, found.start, found.end, found.score)
    assert len({len(column) for column in columns}) == 1
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def all_pairs(output, batch, max_characters):
    """Every start with every end of every window and output, by loops."""
    rows = []
    start, end = output.start.detach().double().numpy(), output.end.detach().double().numpy()
    for w, length, k in np.ndindex(*start.shape[:2], start.shape[2]):
        for last in range(length, start.shape[1]):
            if batch.context_mask[w, length] and batch.context_mask[w, last]:
                low, high = int(batch.offsets[w, length, 0]), int(batch.offsets[w, last, 1])
                if high - low <= max_characters:
                    score = start[w, length, k] + end[w, last, k] - start[w, 0, k] - end[w, 0, k]
                    rows.append((int(batch.window_example[w]), k, low, high, score))
    return sorted(rows)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), max_characters=st.sampled_from([3, 7, 15, 600]), extra=st.integers(0, 5))
def test_candidates_are_all_pairs_where_top_k_covers_the_window(seed, max_characters, extra):
    batch = random_batch(seed)
    output = random_output(batch, 3, seed)
    found = rows_of(output, batch, SpanDecoding(max_characters=max_characters), 9 + extra)
    expected = all_pairs(output, batch, max_characters)
    assert [row[:4] for row in found] == [row[:4] for row in expected]
    np.testing.assert_allclose([row[4] for row in found], [row[4] for row in expected], rtol=1e-4, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), top_k=st.integers(1, 5), max_characters=st.sampled_from([1, 7, 600]))
def test_candidates_of_fewer_starts_are_a_part_with_one_at_least(seed, top_k, max_characters):
    batch = random_batch(seed)
    batch.window_example, batch.labels = torch.arange(5), torch.zeros(5, 3)  # a window is an example
    output = random_output(batch, 3, seed)
    found = rows_of(output, batch, SpanDecoding(max_characters=max_characters), top_k)
    everything = {row[:4] for row in all_pairs(output, batch, 600)}
    assert {row[:4] for row in found} <= everything
    assert {row[:2] for row in found} == {(w, k) for w in range(5) for k in range(3)}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), top_k=st.integers(2, 5))
def test_best_pair_is_found_with_few_starts_where_it_is_in_order(seed, top_k):
    batch = random_batch(seed, windows=1)
    output = random_output(batch, 3, seed)
    for k in range(3):
        usable = batch.context_mask[0]
        first = int(output.start[0, :, k].masked_fill(~usable, -torch.inf).argmax())
        last = int(output.end[0, :, k].masked_fill(~usable, -torch.inf).argmax())
        found = rows_of(output, batch, SpanDecoding(), top_k)
        best = max((row for row in found if row[1] == k), key=lambda row: row[4])
        if first <= last:
            assert best[2:4] == (4 * first, 4 * last + 3)


def logits(windows, length, n_outputs, values):
    tensor = torch.zeros(windows, length, n_outputs)
    for position, value in values.items():
        tensor[position] = value
    return tensor


def test_best_token_stands_in_where_all_starts_follow_all_ends():
    batch = make_batch([[0, 1, 1, 1, 1]], [0], 1)
    output = StartEndOutput(logits(1, 5, 1, {(0, 4, 0): 9.0}), logits(1, 5, 1, {(0, 1, 0): 9.0, (0, 2, 0): 2.0}))
    # Tokens 1 and 4 score 9 alike: the first of them.
    assert rows_of(output, batch, SpanDecoding(), 1) == [(0, 0, 4, 7, 9.0)]


def test_best_token_stands_in_even_if_too_long():
    batch = make_batch([[0, 1, 1]], [0], 1)
    output = StartEndOutput(logits(1, 3, 1, {(0, 2, 0): 1.0}), logits(1, 3, 1, {}))
    assert rows_of(output, batch, SpanDecoding(max_characters=2)) == [(0, 0, 8, 11, 1.0)]


def test_score_is_the_margin_over_null():
    batch = make_batch([[0, 1]], [0], 1)
    output = StartEndOutput(
        logits(1, 2, 1, {(0, 0, 0): 3.0, (0, 1, 0): 1.0}), logits(1, 2, 1, {(0, 0, 0): 0.5, (0, 1, 0): 4.0})
    )
    assert rows_of(output, batch, SpanDecoding()) == [(0, 0, 4, 7, 1.5)]


def test_window_without_context_gives_nothing():
    batch = make_batch([[0, 0, 0], [0, 1, 0]], [0, 1], 2)
    output = random_output(batch, 2, 0)
    assert [row[:4] for row in rows_of(output, batch, SpanDecoding())] == [(1, 0, 4, 7), (1, 1, 4, 7)]


def test_batch_without_context_gives_nothing():
    batch = make_batch([[0, 0, 0]], [0], 2)
    assert rows_of(random_output(batch, 2, 0), batch, SpanDecoding()) == []


def test_token_without_characters_bounds_no_span():
    batch = make_batch([[0, 1, 1, 1]], [0], 1, offsets=[[(0, 0), (0, 0), (0, 5), (5, 5)]])
    output = random_output(batch, 1, 0)
    assert [row[:4] for row in rows_of(output, batch, SpanDecoding())] == [(0, 0, 0, 5)]


def test_windows_of_one_example_give_offsets_into_the_same_post():
    offsets = [[(0, 0), (0, 3), (4, 7)], [(0, 0), (4, 7), (8, 11)]]
    batch = make_batch([[0, 1, 1]] * 2, [0, 0], 1, offsets=offsets)
    found = rows_of(random_output(batch, 1, 0), batch, SpanDecoding())
    spans = [row[2:4] for row in found]
    assert spans == [(0, 3), (0, 7), (4, 7), (4, 7), (4, 11), (8, 11)]


def test_candidates_leave_no_graph():
    batch = random_batch(0)
    output = random_output(batch, 3, 0)
    assert output.start.requires_grad
    found = StartEnd(inside=False).build(1, 1).candidates(output, batch, SpanDecoding())
    assert found.score.dtype == np.float64
    assert found.start.dtype == found.end.dtype == found.example.dtype == found.output.dtype == np.int64


@pytest.mark.parametrize("n_outputs", [1, 9])
def test_candidates_of_a_large_batch_number_at_most_the_grid(n_outputs):
    context = np.ones((64, 512), dtype=bool)
    context[:, 0] = False
    batch = make_batch(context, np.arange(64), n_outputs)
    found = (
        StartEnd(inside=False, top_k=20)
        .build(1, 1)
        .candidates(random_output(batch, n_outputs, 0), batch, SpanDecoding())
    )
    per_pair = np.bincount(found.example * n_outputs + found.output)
    assert len(per_pair) == 64 * n_outputs
    assert per_pair.min() >= 1
    assert per_pair.max() <= 400
