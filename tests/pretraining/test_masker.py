import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizers import bert_like, deberta_like, roberta_like

from redsm5.errors import UserError
from redsm5.pretraining.masker import IGNORED, Masker

STYLES = ("token", "whole_word", "span")
TOKENIZERS = {"WordPiece": bert_like, "BPE": roberta_like, "Unigram": deberta_like}


def rows(tokenizer, count=200, length=60, seed=0):
    """Random tokens between special ones and before padding, words of two tokens."""
    rng = np.random.default_rng(seed)
    ids = torch.from_numpy(rng.integers(10, len(tokenizer), size=(count, length)))
    maskable, starts = np.ones((count, length), dtype=bool), np.zeros((count, length), dtype=bool)
    starts[:, 1::2] = True
    ids[:, 0], ids[:, -6], ids[:, -5:] = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id
    maskable[:, 0] = maskable[:, -6:] = False
    return ids, maskable, starts


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_shares_of_masked_replaced_and_kept_tokens(style, kind):
    tokenizer = TOKENIZERS[kind]()
    ids, maskable, starts = rows(tokenizer, count=1500)
    masked, labels = Masker(tokenizer, style, 0.2)(ids, maskable, starts, (1, 2))
    chosen = labels != IGNORED
    assert (labels[chosen] == ids[chosen]).all()
    assert (masked[~chosen] == ids[~chosen]).all()
    assert not chosen[torch.from_numpy(~maskable)].any()
    as_mask = masked[chosen] == tokenizer.mask_token_id
    replaced = ~as_mask & (masked[chosen] != ids[chosen])
    # Spans of about seven tokens share one draw: the share of them is known less well than that of tokens.
    tolerance = 4 * np.sqrt(0.25 / int(chosen.sum())) * (4 if style == "span" else 1)
    assert abs(chosen.sum() / maskable.sum() - 0.2) < 0.01
    assert abs(as_mask.float().mean() - 0.8) < tolerance
    assert abs(replaced.float().mean() - 0.1) < tolerance + 0.1 / len(tokenizer)


def test_tokens_of_a_span_share_what_becomes_of_them():
    tokenizer = bert_like()
    ids, maskable, starts = rows(tokenizer)
    masked, labels = Masker(tokenizer, "span", 0.2)(ids, maskable, starts, (1,))
    whole = 0
    for row, out, label in zip(ids, masked, labels, strict=True):
        chosen = np.flatnonzero((label != IGNORED).numpy())
        for run in np.split(chosen, np.flatnonzero(np.diff(chosen) > 1) + 1):
            if not len(run):
                continue
            masks = out[run] == tokenizer.mask_token_id
            assert masks.all() or masks.float().mean() < 0.5, "some of a span are masked, some are not"
            whole += bool(masks.all()) or bool((out[run] == row[run]).all())
    assert whole > 300


@settings(max_examples=20)
@given(st.sampled_from(STYLES), st.integers(0, 50), st.integers(0, 50))
def test_same_seed_masks_alike_and_another_one_otherwise(style, a, b):
    tokenizer = bert_like()
    ids, maskable, starts = rows(tokenizer, count=8)
    masker = Masker(tokenizer, style, 0.3)
    first, again, other = (masker(ids, maskable, starts, (7, seed)) for seed in (a, a, b))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert (a == b) == torch.equal(first[1], other[1])


def test_tokenizer_without_a_mask_is_refused():
    tokenizer = bert_like()
    tokenizer.mask_token = None
    with pytest.raises(UserError, match="no mask token"):
        Masker(tokenizer, "token", 0.15)
