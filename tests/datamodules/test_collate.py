from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import corpus_of, tiny_corpus
from tiny_tokenizers import FAMILIES, bert_like

from redsm5.datamodules.corpus import Annotation, Post, Span
from redsm5.datamodules.dataset import PlannedBatch, PostDataset, WindowSettings
from redsm5.datamodules.formats import BinaryPairs, Example, MultiLabel
from redsm5.datamodules.targets import targets_of
from redsm5.datamodules.tokenization import tokenize


def dataset_of(corpus, option, *, family="bert", room=24, stride=6, max_windows=None, training=False, seed=0):
    tokenizer = FAMILIES[family]()
    tokens = tokenize([p.text for p in corpus.posts], tokenizer)
    targets = tuple(targets_of(corpus, p.id, tokens.text(i)[1]) for i, p in enumerate(corpus.posts))
    layout = option.build(corpus.criteria, tokenizer)
    return PostDataset(tokens, targets, layout, WindowSettings(room, stride, max_windows, seed), training=training)


def examples_of(dataset, corpus, option):
    return tuple(e for i in range(len(corpus.posts)) for e in option.examples(i, len(corpus.codes)))


def text_of(corpus, batch, window, first, last):
    post = corpus.posts[int(batch.post_index[batch.window_example[window]])]
    return post.text[int(batch.offsets[window, first, 0]) : int(batch.offsets[window, last, 1])]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("option", [MultiLabel(), MultiLabel(titles=True), BinaryPairs()])
def test_spans_are_the_sentences_of_the_experts(family, option):
    corpus = tiny_corpus(posts=20)
    dataset = dataset_of(corpus, option, family=family, room=400, stride=0)
    batch = dataset[PlannedBatch(0, examples_of(dataset, corpus, option))]
    found = {0: set(), 1: set()}
    for status, rows in ((1, batch.spans), (0, batch.hard_negatives)):
        for window, output, first, last in rows.tolist():
            example = int(batch.window_example[window])
            criterion = output if batch.criterion[example] < 0 else int(batch.criterion[example])
            post = corpus.posts[int(batch.post_index[example])]
            found[status].add((post.id, corpus.codes[criterion], text_of(corpus, batch, window, first, last)))
    for status in (0, 1):
        expected = {
            (a.post_id, a.criterion, corpus.post_by_id[a.post_id].text[a.span.start : a.span.end])
            for a in corpus.annotations
            if a.status == status
        }
        assert found[status] == expected
        assert expected
    assert batch.evidence_mask.all()


@pytest.mark.parametrize("option", [MultiLabel(), MultiLabel(titles=True), BinaryPairs()])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_window_is_what_the_tokenizer_makes_of_it(family, option):
    corpus = tiny_corpus(posts=8)
    dataset = dataset_of(corpus, option, family=family)
    tokenizer = FAMILIES[family]()
    batch = dataset[PlannedBatch(0, examples_of(dataset, corpus, option))]
    assert (batch.token_type_ids is None) == (family == "roberta")
    for w in range(len(batch.input_ids)):
        length = int(batch.attention_mask[w].sum())
        context = batch.context_mask[w]
        frame = dataset.layout.frame(int(batch.criterion[batch.window_example[w]]))
        post_ids = batch.input_ids[w][context].numpy()
        row = np.concatenate([frame.before, post_ids, frame.after])
        np.testing.assert_array_equal(batch.input_ids[w, :length], row)
        assert (batch.input_ids[w, length:] == tokenizer.pad_token_id).all()
        assert batch.attention_mask[w, :length].all()
        assert not context[0]
        assert batch.input_ids[w, 0] == tokenizer.cls_token_id
        assert (batch.offsets[w][~context] == 0).all()
    assert batch.attention_mask.sum(dim=1).max() == batch.input_ids.shape[1]


def test_windows_of_an_example_together_hold_its_tokens():
    corpus = tiny_corpus(posts=12)
    dataset = dataset_of(corpus, MultiLabel())
    batch = dataset[PlannedBatch(0, tuple(Example(i) for i in range(12)))]
    assert (batch.window_example.diff() >= 0).all()
    assert batch.window_example.unique().tolist() == list(range(12))
    for e in range(12):
        rows = batch.window_example == e
        ours = {tuple(pair) for pair in batch.offsets[rows][batch.context_mask[rows]].tolist()}
        assert ours == {tuple(pair) for pair in dataset.tokens.text(e)[1].tolist()}


def test_labels_and_indices_of_both_formats():
    corpus = tiny_corpus(posts=6)
    labels = np.array([corpus.labels(p.id) for p in corpus.posts])
    batch = dataset_of(corpus, MultiLabel())[PlannedBatch(0, (Example(4), Example(1)))]
    np.testing.assert_array_equal(batch.labels, labels[[4, 1]])
    assert batch.post_index.tolist() == [4, 1]
    assert batch.criterion.tolist() == [-1, -1]
    assert batch.size == 2
    pairs = dataset_of(corpus, BinaryPairs())[PlannedBatch(0, (Example(4, 2), Example(1, 0)))]
    np.testing.assert_array_equal(pairs.labels, [[labels[4, 2]], [labels[1, 0]]])
    assert pairs.criterion.tolist() == [2, 0]
    assert pairs.evidence_mask.shape[1] == 1


WORDS = "the bus was late again today my sister came over with her dog"


def one_post(*annotations):
    """Twelve one-token words; annotations as (criterion, status, first word, last word), or None for the words."""
    words = WORDS.split()[:12]
    text = " ".join(words)
    starts = [sum(len(w) + 1 for w in words[:i]) for i in range(12)]
    rows = []
    for k, (code, status, *place) in enumerate(annotations):
        span = None if place == [None] else Span(starts[place[0]], starts[place[1]] + len(words[place[1]]))
        kind = "failed" if span is None else "exact"
        rows.append(Annotation("p", f"p_{k}", code, status, span, kind, 100.0))
    return corpus_of([Post("p", text, "p")], rows, codes=("A", "B"))


# room 6, stride 2 over 12 tokens: windows [0, 6), [4, 10), [6, 12)
@pytest.mark.parametrize(
    ("annotations", "mask", "spans", "hard_negatives"),
    [
        ([], [[1, 1], [1, 1], [1, 1]], [], []),
        ([("A", 1, 0, 3)], [[1, 1], [1, 1], [1, 1]], [(0, 0, 1, 4)], []),
        ([("A", 1, 4, 5)], [[1, 1], [1, 1], [1, 1]], [(0, 0, 5, 6), (1, 0, 1, 2)], []),
        ([("A", 1, 5, 6)], [[0, 1], [1, 1], [0, 1]], [(1, 0, 2, 3)], []),
        ([("A", 1, 0, 1), ("A", 1, 5, 6)], [[0, 1], [1, 1], [0, 1]], [(0, 0, 1, 2), (1, 0, 2, 3)], []),
        ([("B", 1, 0, 11)], [[1, 0], [1, 0], [1, 0]], [], []),
        ([("A", 1, None)], [[0, 1], [0, 1], [0, 1]], [], []),
        ([("A", 1, None), ("A", 1, 0, 1)], [[0, 1], [0, 1], [0, 1]], [(0, 0, 1, 2)], []),
        ([("B", 0, 1, 2)], [[1, 1], [1, 1], [1, 1]], [], [(0, 1, 2, 3)]),
        ([("B", 0, 3, 6)], [[1, 1], [1, 1], [1, 1]], [], []),
        ([("B", 0, None)], [[1, 1], [1, 1], [1, 1]], [], []),
    ],
)
def test_evidence_that_is_cut_or_unaligned_is_masked_and_never_null(annotations, mask, spans, hard_negatives):
    corpus = one_post(*annotations)
    batch = dataset_of(corpus, MultiLabel(), room=6, stride=2)[PlannedBatch(0, (Example(0),))]
    assert batch.evidence_mask.int().tolist() == mask
    assert sorted(map(tuple, batch.spans.tolist())) == spans
    assert sorted(map(tuple, batch.hard_negatives.tolist())) == hard_negatives


def test_pairs_take_the_evidence_of_their_criterion_alone():
    corpus = one_post(("A", 1, 0, 1), ("B", 1, 2, 3), ("B", 1, None))
    dataset = dataset_of(corpus, BinaryPairs(), room=12, stride=2)
    batch = dataset[PlannedBatch(0, (Example(0, 0), Example(0, 1)))]
    begins = [len(dataset.layout.frame(k).before) for k in range(2)]
    assert batch.spans.tolist() == [[0, 0, begins[0], begins[0] + 1], [1, 0, begins[1] + 2, begins[1] + 3]]
    assert batch.evidence_mask.tolist() == [[True], [False]]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 4), st.integers(0, 6), st.integers(0, 3))
def test_training_shows_evidence_first_and_at_most_max_windows(max_windows, epoch, seed):
    corpus = tiny_corpus(posts=12, seed=seed, sentences=8)
    whole = dataset_of(corpus, MultiLabel())
    part = dataset_of(corpus, MultiLabel(), max_windows=max_windows, training=True)
    for i in range(12):
        all_windows = whole.encode(Example(i), 0)
        shown = part.encode(Example(i), epoch)
        assert len(shown.windows) == min(max_windows, len(all_windows.windows))

        def held(encoded):
            first, last = encoded.evidence[:, 1][None], encoded.evidence[:, 2][None]
            start, end = encoded.windows[:, :1], encoded.windows[:, 1:]
            return int(((first >= start) & (last < end)).any(axis=1).sum())

        assert held(shown) == min(max_windows, held(all_windows))


def test_window_sampling_depends_on_seed_epoch_and_post_only():
    corpus = tiny_corpus(posts=60)
    long = [i for i, p in enumerate(corpus.posts) if len(p.text) > 500]

    def shown(seed, epoch):
        dataset = dataset_of(corpus, MultiLabel(), max_windows=2, training=True, seed=seed)
        return [dataset.encode(Example(i), epoch).windows.tolist() for i in long]

    assert shown(0, 0) == shown(0, 0)
    assert shown(0, 0) != shown(0, 1)
    assert shown(0, 0) != shown(1, 0)


def test_sizes_foretell_the_batch():
    corpus = tiny_corpus(posts=30)
    for option in (MultiLabel(), BinaryPairs()):
        dataset = dataset_of(corpus, option, max_windows=3, training=True)
        examples = list(examples_of(dataset, corpus, option))
        windows, lengths = dataset.sizes(examples)
        for k, example in enumerate(examples):
            batch = dataset[PlannedBatch(2, (example,))]
            assert batch.input_ids.shape[0] == windows[k]
            frame = dataset.layout.frame(example.criterion)
            assert batch.input_ids.shape[1] == lengths[k] - dataset.layout.longest_frame + len(frame)


def test_a_post_without_tokens_is_one_empty_window():
    corpus = corpus_of([Post("p", "\u200b", "p"), Post("q", "the bus", "q")], [])
    batch = dataset_of(corpus, MultiLabel())[PlannedBatch(0, (Example(0), Example(1)))]
    assert batch.context_mask.sum(dim=1).tolist() == [0, 2]
    assert batch.input_ids[0, :2].tolist() == [bert_like().cls_token_id, bert_like().sep_token_id]
