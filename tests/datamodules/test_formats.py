from __future__ import annotations

import numpy as np
import pytest
from tiny_tokenizers import FAMILIES, bert_like

from redsm5.datamodules.corpus import Criterion
from redsm5.datamodules.formats import BinaryPairs, Example, MultiLabel
from redsm5.datamodules.frames import Template
from redsm5.datamodules.targets import Targets
from redsm5.datamodules.tokenization import tokenize
from redsm5.errors import UserError

CRITERIA = (Criterion("A", "Low mood", "Feels gloomy."), Criterion("B", "Sleep", "Cannot sleep, or sleeps too much."))
POST = "Work was busy but fine. I feel gloomy."


def window(frame, post_ids):
    """Ids and token types of a window that holds a whole post."""
    ids = np.concatenate([frame.before, post_ids, frame.after])
    types = np.concatenate([frame.before_types, np.full(len(post_ids), frame.post_type), frame.after_types])
    return ids.tolist(), types.tolist()


def expected(tokenizer, *texts):
    encoded = tokenizer(*texts, return_token_type_ids=True)
    return encoded["input_ids"], encoded["token_type_ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_post_alone_is_encoded_as_the_tokenizer_does(family):
    tokenizer = FAMILIES[family]()
    layout = MultiLabel().build(CRITERIA, tokenizer)
    ids, types = window(layout.frame(-1), tokenize([POST], tokenizer).ids)
    assert (ids, types) == expected(tokenizer, POST)
    assert layout.n_outputs == 2
    assert layout.longest_frame == 2


@pytest.mark.parametrize("family", FAMILIES)
def test_titles_follow_the_post(family):
    tokenizer = FAMILIES[family]()
    layout = MultiLabel(titles=True).build(CRITERIA, tokenizer)
    ids, types = window(layout.frame(-1), tokenize([POST], tokenizer).ids)
    assert (ids, types) == expected(tokenizer, POST, "Low mood; Sleep")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pair_is_encoded_as_the_tokenizer_does(family):
    tokenizer = FAMILIES[family]()
    layout = BinaryPairs().build(CRITERIA, tokenizer)
    assert layout.n_outputs == 1
    for k, criterion in enumerate(CRITERIA):
        ids, types = window(layout.frame(k), tokenize([POST], tokenizer).ids)
        assert (ids, types) == expected(tokenizer, criterion.text, POST)
        assert ids[0] == tokenizer.cls_token_id
    assert layout.longest_frame == max(len(frame) for frame in layout.frames)


@pytest.mark.parametrize("family", FAMILIES)
def test_token_types_are_used_where_the_tokenizer_has_them(family):
    tokenizer = FAMILIES[family]()
    assert MultiLabel().build(CRITERIA, tokenizer).typed == (family != "roberta")


def test_a_tokenizer_without_a_first_special_token_is_refused():
    tokenizer = bert_like()
    tokenizer.backend_tokenizer.post_processor = None
    with pytest.raises(UserError, match="puts no special token first"):
        Template(tokenizer)


def test_a_tokenizer_without_padding_is_refused():
    tokenizer = bert_like()
    tokenizer.pad_token = None
    with pytest.raises(UserError, match="has no padding token"):
        Template(tokenizer)


def targets(labels, denied):
    empty = np.zeros((0, 3), dtype=np.int64)
    return Targets(
        np.array(labels, dtype=np.float32), np.zeros(len(labels), bool), empty, empty, np.array(denied, bool)
    )


def test_multi_label_has_one_example_per_post():
    assert MultiLabel().examples(3, 9) == [Example(3)]
    assert MultiLabel().training_examples(3, targets([1, 0], [0, 0]), 0, 5) == [Example(3)]


def test_binary_pairs_evaluates_every_criterion():
    assert BinaryPairs(negatives_per_positive=1.0).examples(3, 4) == [Example(3, k) for k in range(4)]


@pytest.mark.parametrize(
    ("labels", "ratio", "negatives"),
    [
        ([1, 1, 0, 0, 0, 0, 0, 0, 0], 1.0, 2),
        ([1, 1, 0, 0, 0, 0, 0, 0, 0], 3.0, 6),
        ([1, 0, 0, 0, 0, 0, 0, 0, 0], 3.0, 3),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0], 3.0, 3),
        ([1, 1, 1, 0, 0, 0, 0, 0, 0], 3.0, 6),
        ([1, 0, 0, 0, 0, 0, 0, 0, 0], 0.5, 1),
        ([1, 0, 0, 0, 0, 0, 0, 0, 0], 1.5, 2),
        ([1, 0, 0, 0, 0, 0, 0, 0, 0], None, 8),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1], 3.0, 0),
    ],
)
def test_binary_pairs_bounds_the_negatives_and_keeps_every_positive(labels, ratio, negatives):
    option = BinaryPairs(negatives_per_positive=ratio)
    for epoch in range(5):
        chosen = {e.criterion for e in option.training_examples(7, targets(labels, [0] * 9), 0, epoch)}
        positives = {k for k, label in enumerate(labels) if label}
        assert positives <= chosen
        assert len(chosen - positives) == negatives


def test_binary_pairs_draws_negatives_anew_in_every_epoch_and_again_for_the_same_seed():
    option, known = BinaryPairs(negatives_per_positive=2.0), targets([1] + [0] * 8, [0] * 9)
    epochs = [tuple(option.training_examples(0, known, 1, epoch)) for epoch in range(10)]
    assert len(set(epochs)) > 3
    assert epochs == [tuple(option.training_examples(0, known, 1, epoch)) for epoch in range(10)]
    assert epochs != [tuple(option.training_examples(0, known, 2, epoch)) for epoch in range(10)]


def test_binary_pairs_takes_denied_criteria_first():
    known = targets([1, 0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0, 0, 1, 0])
    for epoch in range(5):
        chosen = BinaryPairs(negatives_per_positive=3.0).training_examples(0, known, 0, epoch)
        assert {0, 3, 7} <= {e.criterion for e in chosen}


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf")])
def test_binary_pairs_refuses_impossible_ratios(ratio):
    with pytest.raises(
        ValueError, match=r"negatives_per_positive is .*; accepted are numbers above 0, or null for all"
    ):
        BinaryPairs(negatives_per_positive=ratio)


@pytest.mark.parametrize(("ratio", "least"), [(0.0, 0), (0.25, 1), (0.5, 2), (1.0, 2)])
def test_denied_criteria_have_their_share_of_the_drawn_negatives(ratio, least):
    labels, denied = np.zeros(9, dtype=np.float32), np.zeros(9, dtype=bool)
    labels[0], denied[[3, 5]] = 1, True
    none = np.zeros((0, 3), dtype=np.int64)
    targets = Targets(labels, np.zeros(9, dtype=bool), none, none, denied)
    option = BinaryPairs(negatives_per_positive=4.0, hard_negative_ratio=ratio)
    shares = np.zeros(9)
    for epoch in range(600):
        drawn = [e.criterion for e in option.training_examples(0, targets, 0, epoch)]
        assert len(set(drawn)) == len(drawn) == 5
        assert 0 in drawn
        assert len({3, 5} & set(drawn)) >= least
        assert option.training_examples(0, targets, 0, epoch) == option.training_examples(0, targets, 0, epoch)
        shares[drawn] += 1 / 600
    # Of 8 negatives 4 are drawn; with h places for the 2 denied ones, 4 - h of the 8 - h that are left.
    expected = [least / 2 + (1 - least / 2) * (4 - least) / (8 - least), (4 - least) / (8 - least)]
    assert shares[[3, 5]].mean() == pytest.approx(expected[0], abs=0.05)
    assert shares[[1, 2, 4, 6, 7, 8]].mean() == pytest.approx(expected[1], abs=0.05)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hard_negative_ratio": -0.1}, "hard_negative_ratio is -0.1"),
        ({"hard_negative_ratio": 1.5}, "hard_negative_ratio is 1.5"),
        ({"negatives_per_positive": None, "hard_negative_ratio": 0.3}, "negatives_per_positive is null"),
    ],
)
def test_a_share_of_hard_negatives_that_cannot_be_is_refused(values, said):
    with pytest.raises(ValueError, match=said):
        BinaryPairs(**values)
