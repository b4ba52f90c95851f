import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from redsm5.datamodules.augmentation import Deletion, Mixed, NoAugmentation, Swap, Synonyms, Typos
from redsm5.datamodules.corpus import Span
from redsm5.datamodules.synonyms import protected_words, synonyms_of
from redsm5.datamodules.word_changes import WORD, change_spans
from redsm5.errors import UserError

OPTIONS = (Synonyms, Deletion, Swap, Typos, Mixed)
WORDS = [
    "big",
    "Quick",
    "not",
    "I",
    "gloomy",
    "friend",
    "buy,",
    "(car)",
    "don't",
    "😀",
    "straße",
    "\n",
    "  ",
    "a.b",
    "MOVIE",
]


@st.composite
def texts_with_spans(draw):
    """A text, disjoint spans of it that are changed, and spans that do not begin or end within those."""
    pieces = draw(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=7))
    edges = np.cumsum([0, *map(len, pieces)]).tolist()
    spans = [Span(*pair) for pair in itertools.pairwise(edges) if pair[0] < pair[1]]
    return "".join(pieces), [span for span in spans if draw(st.booleans())], edges


@given(
    made=texts_with_spans(),
    option=st.sampled_from(OPTIONS),
    seed=st.integers(0, 1000),
    p=st.sampled_from([0.1, 0.5, 1.0]),
)
@settings(deadline=None, max_examples=300)
def test_the_rest_of_a_post_stays_to_the_character_and_spans_move_along(made, option, seed, p):
    text, spans, edges = made
    new, relocate = change_spans(text, spans, option(probability=p).build(), np.random.default_rng(seed))
    changed = {(span.start, span.end) for span in spans}
    built = []
    for start, end in itertools.pairwise(edges):
        span = relocate(Span(start, end))
        piece = new[span.start : span.end]
        if (start, end) not in changed:
            assert piece == text[start:end]
        built.append(piece)
    assert "".join(built) == new
    whole = relocate(Span(edges[0], edges[-1]))
    assert (whole.start, whole.end) == (0, len(new))


@given(made=texts_with_spans(), option=st.sampled_from(OPTIONS), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=200)
def test_protected_words_stay_and_their_order_too(made, option, seed):
    text, spans, _ = made
    new, relocate = change_spans(
        text, spans, option(probability=1.0, protected=("Car",)).build(), np.random.default_rng(seed)
    )

    def kept(of):
        return [w for w in WORD.findall(of) if w.casefold() in protected_words() | {"car"}]

    for span in spans:
        moved = relocate(span)
        assert kept(new[moved.start : moved.end]) == kept(text[span.start : span.end])
    assert {"not", "i", "gloomy", "don't"} <= protected_words()


def test_same_draws_give_the_same_text():
    text, span = "A big friend came to the house with a quick car today.", [Span(0, 54)]
    texts = [change_spans(text, span, Mixed(0.5).build(), np.random.default_rng(s))[0] for s in (1, 1, 2, 3)]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


@pytest.mark.parametrize("p", [0.1, 0.3])
def test_share_of_changed_words_is_the_probability(p):
    words = ["friend"] * 4000
    text = " ".join(words)
    new, _ = change_spans(text, [Span(0, len(text))], Synonyms(p).build(), np.random.default_rng(0))
    changed = sum(a != b for a, b in zip(words, new.split(), strict=True))
    assert changed / 4000 == pytest.approx(p, abs=0.03)


def test_synonyms_keep_the_case():
    text = "Big BIG big"
    new, _ = change_spans(text, [Span(0, 11)], Synonyms(1.0).build(), np.random.default_rng(0))
    assert re.fullmatch(r"(Large|Huge) (LARGE|HUGE) (large|huge)", new)


def test_deletion_takes_the_blank_along_and_leaves_a_word():
    new, _ = change_spans("came, saw  and (went).", [Span(0, 22)], Deletion(1.0).build(), np.random.default_rng(0))
    assert len(WORD.findall(new)) == 1
    assert new.endswith("(went).")


def test_swap_exchanges_neighbours():
    class Always:
        """Hits the first word alone."""

        def __init__(self):
            self.draws = iter([0.0, 0.9, 0.9])

        def random(self):
            return next(self.draws)

        def integers(self, *_):
            return 0

    assert change_spans("red, green blue", [Span(0, 15)], Swap(0.5).build(), Always())[0] == "green, red blue"


@given(seed=st.integers(0, 5000))
@settings(deadline=None)
def test_typo_is_one_slip_and_never_in_the_first_letter(seed):
    new, _ = change_spans("window", [Span(0, 6)], Typos(1.0).build(), np.random.default_rng(seed))
    assert new[0] == "w"
    assert abs(len(new) - 6) <= 1
    if len(new) == 6:
        assert sum(a != b for a, b in zip(new, "window", strict=True)) in (0, 1, 2)


def test_bundled_lists_are_lower_case_and_apart():
    lookup = synonyms_of("bundled")
    assert lookup("big") == ("large", "huge")
    assert lookup("gloomy") == ()
    assert all(word == word.lower() for word in protected_words())


def test_wordnet_that_is_not_there_is_one_sentence(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "nltk.corpus", None)
    with pytest.raises(UserError, match="wordnet, which needs nltk; pip install nltk, or use bundled"):
        Synonyms(source="wordnet").build()


def test_no_augmentation_is_none():
    assert NoAugmentation().build() is None


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, float("nan")])
def test_impossible_probability_is_refused(option, p):
    with pytest.raises(ValueError, match=f"probability is {p}"):
        option(probability=p)
