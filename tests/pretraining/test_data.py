import dataclasses

import pytest
import torch
from tiny import tiny_posts
from tiny_tokenizers import bert_like

from redsm5.errors import UserError
from redsm5.pretraining.data import MaskedTexts, RowSettings
from redsm5.pretraining.texts import Text
from redsm5.pretraining.tokens import stored_tokens

SETTINGS = RowSettings(
    style="token", probability=0.2, max_length=32, join=False, batch_tokens=128, held_out=0.2, seed=0
)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    posts = [Text(post.id.split("_")[1], post.text) for post in tiny_posts()]
    return stored_tokens(tmp_path_factory.mktemp("data") / "tokens", posts, bert_like())


def data(tokens, **changes):
    return MaskedTexts(tokens, bert_like(), dataclasses.replace(SETTINGS, **changes), workers=0)


def epoch_of(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return list(loader)


def originals(batches):
    """The tokens before they were masked, as a sorted list of rows."""
    rows = []
    for batch in batches:
        ids = torch.where(batch.labels != -100, batch.labels, batch.input_ids)
        rows += [tuple(row[mask.bool()].tolist()) for row, mask in zip(ids, batch.attention_mask, strict=True)]
    return sorted(rows)


@pytest.mark.parametrize("join", [False, True])
def test_every_row_comes_once_per_epoch_in_another_order_with_other_masks(tokens, join):
    made = data(tokens, join=join)
    loader = made.train_dataloader()
    first, second = epoch_of(loader, 0), epoch_of(loader, 1)
    assert len(first) == len(second) == made.steps_per_epoch()
    assert originals(first) == originals(second)
    assert len(originals(first)) == len(made.training_rows)
    assert [b.input_ids.tolist() for b in first] != [b.input_ids.tolist() for b in second]
    assert all(batch.input_ids.numel() <= 128 for batch in first)


def test_masks_of_held_out_rows_are_the_same_in_every_epoch_and_for_every_seed(tokens):
    loader = data(tokens).val_dataloader()
    first, again = epoch_of(loader, 0), epoch_of(loader, 5)
    other = epoch_of(data(tokens, seed=3).val_dataloader(), 0)
    for a, b, c in zip(first, again, other, strict=True):
        assert torch.equal(a.input_ids, b.input_ids)
        assert torch.equal(a.input_ids, c.input_ids)
        assert torch.equal(a.labels, c.labels)


def test_training_goes_on_where_it_was_in_the_epoch(tokens):
    whole = epoch_of(data(tokens).train_dataloader(), 1)
    resumed = data(tokens)
    resumed.load_state_dict({"epoch": 1, "batches": 3})
    loader = resumed.train_dataloader()
    rest = epoch_of(loader, 1)
    assert len(loader) == len(whole)
    assert [b.input_ids.tolist() for b in rest] == [b.input_ids.tolist() for b in whole[3:]]
    assert len(epoch_of(loader, 2)) == len(whole)


def test_rows_of_one_text_have_no_segments_and_joined_ones_do(tokens):
    assert all(batch.segments is None for batch in data(tokens).train_dataloader())
    joined = list(data(tokens, join=True, max_length=128).train_dataloader())
    assert max(int(batch.segments.max()) for batch in joined) > 1
    for batch in joined:
        assert ((batch.segments > 0) == (batch.attention_mask > 0)).all()
        assert (batch.input_ids[batch.positions.eq(0) & batch.segments.gt(0)] == bert_like().cls_token_id).all()


def test_room_for_no_token_is_refused(tokens):
    with pytest.raises(UserError, match="leaves no token for a text"):
        data(tokens, max_length=2)
