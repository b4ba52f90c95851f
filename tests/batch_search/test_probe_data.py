import pytest

from redsm5.batch_search.probe_data import ProbeData, write_filler
from redsm5.datamodules.criteria import load_criteria
from redsm5.datamodules.formats import BinaryPairs, MultiLabel


def data(encoder, folder, option, length):
    write_filler(folder / "corpus", load_criteria(None), length)
    made = ProbeData(
        encoder_id=str(encoder), path=str(folder / "corpus"), format=option, max_length=length, stride=8,
        max_windows=1, cache_dir=str(folder / "cache"), workers=0, fractions=(0.6, 0.2, 0.2),
    )  # fmt: skip
    made.setup()
    return made


@pytest.mark.parametrize(
    ("option", "length"), [(MultiLabel(), 32), (MultiLabel(titles=True), 192), (BinaryPairs(), 128)], ids=repr
)
def test_batches_have_the_windows_that_were_asked_for_at_full_length_and_one_padded(
    tiny_encoder, tmp_path, option, length
):
    made = data(tiny_encoder, tmp_path, option, length)
    made.train_windows = (1, 2, 7, 100)
    longest = 0
    for asked, batch in zip(made.train_windows, made.train_dataloader(), strict=True):
        tokens = batch.attention_mask.sum(dim=1)
        assert len(tokens) == asked
        longest = max(longest, int(tokens.max()))
        # Only the last window is padded: with none, transformers drops the mask, and attention takes less.
        assert batch.attention_mask.shape[1] == length
        assert (tokens[:-1] >= length - 40 * isinstance(option, BinaryPairs)).all()
        assert (tokens[-1] < batch.attention_mask.shape[1]) == (asked > 1)
        assert asked < 7 or batch.labels.sum() > 0
        assert asked < 7 or len(batch.spans) + len(batch.cut_spans) > 0
    assert longest == length
    assert made.steps_per_epoch() == 4


@pytest.mark.parametrize("option", [MultiLabel(), BinaryPairs()], ids=repr)
@pytest.mark.parametrize("asked", [1, 5, 64])
def test_evaluation_has_no_fewer_windows_and_all_pairs_of_its_posts(tiny_encoder, tmp_path, option, asked):
    made = data(tiny_encoder, tmp_path, option, 128)
    made.eval_windows = asked
    (batch,) = made.val_dataloader()
    assert asked <= len(batch.input_ids) <= asked + 9 * 40
    full = batch.attention_mask.sum(dim=1) >= 128 - 40 * isinstance(option, BinaryPairs)
    assert int(full.sum()) >= asked - (asked > 1)
    posts = {made.all_post_ids()[i] for i in batch.post_index.tolist()}
    assert set(made.post_ids("val")) == posts
    if isinstance(option, BinaryPairs):
        pairs = set(zip(batch.post_index.tolist(), batch.criterion.tolist(), strict=True))
        assert len(pairs) == 9 * len(posts)
