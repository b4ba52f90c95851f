import numpy as np
import pytest
from tiny import tiny_corpus
from tiny_tokenizers import FAMILIES

from redsm5.datamodules.collate import collate
from redsm5.datamodules.dataset import PlannedBatch, PostDataset, WindowSettings
from redsm5.datamodules.formats import BinaryPairs, Example, MultiLabel
from redsm5.datamodules.sentence_tokens import sentence_tokens
from redsm5.datamodules.sentences import split_sentences
from redsm5.datamodules.targets import targets_of
from redsm5.datamodules.tokenization import tokenize


@pytest.mark.parametrize("family", FAMILIES)
def test_sentence_tokens_are_the_sentences_of_the_splitter(family):
    corpus = tiny_corpus(posts=12)
    texts = [post.text for post in corpus.posts]
    tokens = tokenize(texts, FAMILIES[family]())
    for i, text in enumerate(texts):
        offsets = tokens.text(i)[1]
        found = [(offsets[a, 0], offsets[b, 1]) for a, b in sentence_tokens(text, offsets)]
        assert found == [(span.start, span.end) for span in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "offsets", "expected"),
    [
        ("It rains. We left.", [(0, 2), (3, 8), (8, 9), (10, 12), (13, 17), (17, 18)], [[0, 2], [3, 5]]),
        # Tokens of no characters bound no sentence; one that reaches over its end belongs to both.
        ("It rains. We left.", [(0, 2), (3, 12), (12, 12), (13, 18), (18, 18)], [[0, 1], [1, 3]]),
        # A sentence that left no token is none.
        ("It rains. We left.", [(0, 9)], [[0, 0]]),
        ("It rains.", [], []),
        ("", [], []),
    ],
)
def test_sentence_tokens_table(text, offsets, expected):
    found = sentence_tokens(text, np.array(offsets, dtype=np.int32).reshape(-1, 2))
    assert found.dtype == np.int64
    assert found.tolist() == expected


def dataset_of(corpus, option, *, room, stride, asked=True):
    tokenizer = FAMILIES["bert"]()
    tokens = tokenize([p.text for p in corpus.posts], tokenizer)
    targets = tuple(targets_of(corpus, p.id, tokens.text(i)[1]) for i, p in enumerate(corpus.posts))
    ranges = tuple(sentence_tokens(post.text, tokens.text(i)[1]) for i, post in enumerate(corpus.posts))
    layout = option.build(corpus.criteria, tokenizer)
    settings = WindowSettings(room, stride, None, 0)
    return PostDataset(tokens, targets, layout, settings, training=False, sentences=ranges if asked else None)


@pytest.mark.parametrize("option", [MultiLabel(), MultiLabel(titles=True), BinaryPairs()])
@pytest.mark.parametrize("room", [20, 400])
def test_batch_says_what_each_window_shows_of_which_sentence(option, room):
    corpus = tiny_corpus(posts=9)
    dataset = dataset_of(corpus, option, room=room, stride=6)
    examples = [e for i in (5, 2, 8) for e in option.examples(i, len(corpus.codes))][:11]
    batch = dataset[PlannedBatch(0, tuple(examples))]
    shown, some_cut = {}, False
    for window, number, first, last, whole in batch.sentences.tolist():
        example = int(batch.window_example[window])
        text = corpus.posts[int(batch.post_index[example])].text
        sentence = split_sentences(text)[number]
        begin, stop = int(batch.offsets[window, first, 0]), int(batch.offsets[window, last, 1])
        assert sentence.start <= begin < stop <= sentence.end
        assert ((begin, stop) == (sentence.start, sentence.end)) == bool(whole)
        assert batch.context_mask[window, first : last + 1].all()
        shown.setdefault(example, set()).add(number)
        some_cut |= not whole
    for e in range(batch.size):
        assert shown[e] == set(range(len(split_sentences(corpus.posts[int(batch.post_index[e])].text))))
    assert some_cut == (room == 20)


def test_batch_without_the_question_has_no_sentences():
    corpus = tiny_corpus(posts=3)
    dataset = dataset_of(corpus, MultiLabel(), room=400, stride=0, asked=False)
    assert collate([dataset.encode(Example(0), 0)], dataset.layout).sentences is None
