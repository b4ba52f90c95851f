import numpy as np
import pytest
from tiny import corpus_of, tiny_corpus
from tiny_tokenizers import FAMILIES

from redsm5.datamodules.augmentation import Mixed, Typos
from redsm5.datamodules.augmented_posts import AugmentedPosts
from redsm5.datamodules.dataset import PlannedBatch, PostDataset, WindowSettings
from redsm5.datamodules.formats import BinaryPairs, Example, MultiLabel
from redsm5.datamodules.targets import targets_of
from redsm5.datamodules.tokenization import tokenize


def augmented(corpus, option, family="bert", seed=0):
    tokenizer = FAMILIES[family]()
    tokens = tokenize([p.text for p in corpus.posts], tokenizer)
    targets = tuple(targets_of(corpus, p.id, tokens.text(i)[1]) for i, p in enumerate(corpus.posts))
    return AugmentedPosts(corpus, tokenizer, option.build(), tokens.lengths, targets, seed), tokens, targets, tokenizer


def sentences(text, rows, offsets):
    return [(k, text[offsets[first, 0] : offsets[last, 1]]) for k, first, last in rows.tolist()]


@pytest.mark.parametrize("family", FAMILIES)
def test_targets_point_at_the_changed_sentences(family):
    corpus = tiny_corpus(posts=24)
    posts, tokens, targets, _ = augmented(corpus, Mixed(0.3), family)
    shown = 0
    for i, post in enumerate(corpus.posts):
        new = posts.post(i, epoch=1)
        if new is None:
            continue
        shown += 1
        _ids, offsets = tokens.text(i)
        before = sentences(post.text, targets[i].evidence, offsets)
        after = sentences(new.text, new.targets.evidence, new.offsets)
        assert [k for k, _ in after] == [k for k, _ in before]
        # What is no evidence is the same, in order: also the hard negatives.
        rest, old = new.text, post.text
        for (_, now), (_, then) in zip(after, before, strict=True):
            rest, old = rest.replace(now, "", 1), old.replace(then, "", 1)
        assert rest == old
        assert sentences(new.text, new.targets.hard_negatives, new.offsets) == sentences(
            post.text, targets[i].hard_negatives, offsets
        )
        np.testing.assert_array_equal(new.targets.labels, targets[i].labels)
        np.testing.assert_array_equal(new.ids, tokenize([new.text], FAMILIES[family]()).ids)
    assert shown > 5


def test_post_is_a_function_of_seed_epoch_and_post():
    corpus = tiny_corpus(posts=12)
    made = {key: augmented(corpus, Mixed(0.5), seed=key[0])[0] for key in ((0, 1), (0, 2), (1, 1))}
    texts = {
        key: [new and new.text for new in (posts.post(i, key[1]) for i in range(12))] for key, posts in made.items()
    }
    assert texts[0, 1] == [new and new.text for new in (augmented(corpus, Mixed(0.5))[0].post(i, 1) for i in range(12))]
    assert texts[0, 1] != texts[0, 2] != texts[1, 1]


def test_post_without_evidence_stays():
    posts = augmented(corpus_of(list(tiny_corpus(posts=3).posts), []), Mixed(1.0))[0]
    assert [posts.post(i, 0) for i in range(3)] == [None] * 3


@pytest.mark.parametrize("option", [MultiLabel(), BinaryPairs()])
@pytest.mark.parametrize("room", [16, 400])
def test_plan_counts_every_epoch_and_no_batch_exceeds_it(option, room):
    corpus = tiny_corpus(posts=24)
    posts, tokens, targets, tokenizer = augmented(corpus, Typos(0.3))
    layout = option.build(corpus.criteria, tokenizer)
    dataset = PostDataset(tokens, targets, layout, WindowSettings(room, 4, 3, 0), training=True, augmented=posts)
    examples = [e for i in range(24) for e in option.examples(i, len(corpus.codes))]
    windows, lengths = dataset.sizes(examples)
    plain = 0
    for epoch in range(4):
        for example, most, longest in zip(examples, windows, lengths, strict=True):
            encoded = dataset.encode(example, epoch)
            assert len(encoded.windows) <= most
            assert int((encoded.windows[:, 1] - encoded.windows[:, 0]).max()) + layout.longest_frame <= longest
            plain += np.array_equal(encoded.ids, tokens.text(example.post)[0])
    evident = sum(len(t.evidence) > 0 for t in targets) / 24
    assert plain / (4 * len(examples)) < 1 - evident + 0.35


def test_evaluation_is_never_augmented():
    corpus = tiny_corpus(posts=8)
    posts, tokens, targets, tokenizer = augmented(corpus, Typos(1.0))
    layout = MultiLabel().build(corpus.criteria, tokenizer)
    dataset = PostDataset(
        tokens, targets, layout, WindowSettings(64, 8, None, 0, 0.5, 4), training=False, augmented=posts
    )
    for i in range(8):
        np.testing.assert_array_equal(dataset.encode(Example(i), 0).ids, tokens.text(i)[0])
    assert dataset.sizes([Example(0)])[1][0] == min(64, tokens.lengths[0]) + layout.longest_frame


def test_token_dropout_hides_a_share_of_the_posts_tokens_anew_in_every_epoch():
    corpus = tiny_corpus(posts=24)
    _, tokens, targets, tokenizer = augmented(corpus, Typos(1.0))
    layout = MultiLabel().build(corpus.criteria, tokenizer)
    mask = tokenizer.mask_token_id
    dataset = PostDataset(tokens, targets, layout, WindowSettings(512, 8, None, 0, 0.25, mask), training=True)
    hidden = []
    for i in range(24):
        first, again, other = (dataset.encode(Example(i), epoch).ids for epoch in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        hidden += [first == mask, other == mask]
        np.testing.assert_array_equal(first[first != mask], tokens.text(i)[0][first != mask])
    assert np.concatenate(hidden).mean() == pytest.approx(0.25, abs=0.03)
    assert not np.array_equal(np.concatenate(hidden[::2]), np.concatenate(hidden[1::2]))
    batch = dataset[PlannedBatch(0, (Example(0), Example(1)))]
    assert (batch.input_ids[:, 0] == tokenizer.cls_token_id).all()
    assert not (batch.input_ids == mask)[~batch.context_mask].any()
