import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redsm5.pretraining.masking import LONGEST_SPAN, covered_by, mask_spans, mask_words, words_of


@st.composite
def rows(draw):
    """Maskable and word-start flags of a row."""
    length = draw(st.integers(1, 80))
    flags = st.lists(st.booleans(), min_size=length, max_size=length)
    return np.array(draw(flags)), np.array(draw(flags))


def test_words_of_a_row_by_hand():
    # [CLS] dep ##ress ##ed [UNK] ##x mood [SEP]
    maskable = np.array([0, 1, 1, 1, 0, 1, 1, 0], dtype=bool)
    starts = np.array([0, 1, 0, 0, 1, 0, 1, 0], dtype=bool)
    assert words_of(maskable, starts).tolist() == [[1, 4], [5, 6], [6, 7]]


def test_row_without_words_has_none():
    assert words_of(np.zeros(3, dtype=bool), np.ones(3, dtype=bool)).shape == (0, 2)


@given(rows())
def test_words_cover_what_may_be_masked_once(row):
    maskable, starts = row
    covered = np.zeros(len(maskable), dtype=int)
    for first, end in words_of(maskable, starts):
        assert end > first
        covered[first:end] += 1
        assert not starts[first + 1 : end].any()
    assert (covered == maskable).all()


@given(rows(), st.floats(0.05, 0.5), st.integers(0, 99))
def test_masked_words_are_whole_and_nothing_else_is_masked(row, probability, seed):
    maskable, starts = row
    mask = mask_words(maskable, starts, probability, np.random.default_rng(seed))
    assert not mask[~maskable].any()
    for first, end in words_of(maskable, starts):
        assert mask[first:end].all() or not mask[first:end].any()


@given(rows(), st.floats(0.05, 0.5), st.integers(0, 99))
def test_spans_are_whole_words_in_a_row_and_apart(row, probability, seed):
    maskable, starts = row
    spans = mask_spans(maskable, starts, probability, np.random.default_rng(seed))
    words = words_of(maskable, starts)
    begins, ends = set(words[:, 0].tolist()), set(words[:, 1].tolist())
    for first, end in spans.tolist():
        assert maskable[first:end].all()
        assert first in begins
        assert end in ends
        assert 1 <= sum(first <= begin < end for begin in begins) <= LONGEST_SPAN
    for (_, end), (following, _) in zip(spans.tolist(), spans.tolist()[1:], strict=False):
        between = words[(words[:, 0] >= end) & (words[:, 1] <= following)]
        assert following > end or len(between), "two spans touch"
    assert spans[:, 0].tolist() == sorted(spans[:, 0].tolist())


def sample_row(n_words, rng):
    """A row of words of one to four tokens between special tokens."""
    sizes = rng.choice([1, 2, 3, 4], size=n_words, p=[0.6, 0.25, 0.1, 0.05])
    starts = np.concatenate([[False], *(np.arange(size) == 0 for size in sizes), [False]])
    maskable = np.ones(len(starts), dtype=bool)
    maskable[[0, -1]] = False
    return maskable, starts


@pytest.mark.parametrize("probability", [0.15, 0.2, 0.3])
@pytest.mark.parametrize("style", ["words", "spans"])
def test_rate_of_masked_tokens_is_the_one_asked_for(style, probability):
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(800):
        maskable, starts = sample_row(60, rng)
        if style == "words":
            mask = mask_words(maskable, starts, probability, rng)
        else:
            mask = covered_by(mask_spans(maskable, starts, probability, rng), len(maskable))
        shares.append(mask.sum() / maskable.sum())
    error = np.std(shares) / np.sqrt(len(shares))
    assert abs(np.mean(shares) - probability) < 4 * error
    assert error < 0.005


def test_every_word_is_masked_as_often():
    rng = np.random.default_rng(0)
    maskable, starts = sample_row(30, rng)
    counts = sum(mask_words(maskable, starts, 0.2, rng).astype(int) for _ in range(4000))
    # 4 standard errors of a binomial share, and a bit for 30 of them
    assert (np.abs(counts[1:-1] / 4000 - 0.2) < 4.5 * np.sqrt(0.2 * 0.8 / 4000)).all()


def test_span_lengths_are_geometric_cut_at_ten():
    """Against the table of SpanBERT, section 3.1: mean 3.8 words."""
    rng = np.random.default_rng(0)
    # One-token words and a row so long that spans hardly meet or end at the limit.
    maskable, starts = np.ones(4000, dtype=bool), np.ones(4000, dtype=bool)
    lengths = np.concatenate([np.diff(mask_spans(maskable, starts, 0.02, rng), axis=1)[:, 0] for _ in range(400)])
    expected = 0.2 * 0.8 ** np.arange(10)
    expected /= expected.sum()
    seen = np.bincount(lengths, minlength=11)[1:] / len(lengths)
    assert np.abs(seen - expected).max() < 0.02
    assert abs(lengths.mean() - 3.8) < 0.15
    assert lengths.max() == LONGEST_SPAN


def test_span_longer_than_what_is_left_is_cut_to_whole_words():
    maskable, starts = np.ones(12, dtype=bool), np.ones(12, dtype=bool)
    for seed in range(50):
        mask = covered_by(mask_spans(maskable, starts, 0.25, np.random.default_rng(seed)), 12)
        assert mask.sum() == 3
