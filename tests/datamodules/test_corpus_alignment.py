import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redsm5.datamodules.alignment import align
from redsm5.datamodules.corpus import Span
from redsm5.datamodules.normalise import normalise

POST = (
    "I can't get out of bed anymore. My doctor says it's “just stress”... but it isn’t. "
    "I used to love painting. Now I feel nothing at all when I hold a brush. "
    "I am tired. Food tastes like cardboard and I skip most meals. I am tired. Nobody calls."
)
TRICKY = st.sampled_from(
    [
        *"aAbBeEtT 12 \t\n'\"“”‘’«»`´.….—–--éßİŉﬁ①½Å",
        "\u0301",
        "\u0345",
        "\u00ad",
        "\u200b",
        "\ufeff",
        "\ufe0f",
        "\u00a0",
        "각",
        "\u1100\u1161\u11a8",
        "Ωσς",
        "😀",
        "...",
        ". . .",
        "''",
    ]
)
TRICKY_TEXTS = st.lists(st.one_of(TRICKY, st.characters(exclude_categories=["Cs"])), max_size=40).map("".join)


def found(sentence: str, text: str = POST, hint: int | None = None, **options: float) -> tuple[str, str | None]:
    alignment = align(sentence, text, hint=hint, **options)
    return alignment.kind, None if alignment.span is None else text[alignment.span.start : alignment.span.end]


@pytest.mark.parametrize(
    ("sentence", "kind", "place"),
    [
        ("I used to love painting.", "exact", "I used to love painting."),
        ("  I used to love painting.\n", "exact", "I used to love painting."),
        ("I CAN’T get out  of bed anymore.", "normalised", "I can't get out of bed anymore."),
        (
            "My doctor says it's \"just stress\"… but it isn't.",
            "normalised",
            "My doctor says it's “just stress”... but it isn’t.",
        ),
        ("Now I feel nothing at all when i held a brush.", "fuzzy", "Now I feel nothing at all when I hold a brush."),
        (
            "Food tastes like cardbord and I skip most meal",
            "fuzzy",
            "Food tastes like cardboard and I skip most meals.",
        ),
        (
            "I used to love paintin. Now I feel nothing at al when I hold a brush",
            "fuzzy",
            "I used to love painting. Now I feel nothing at all when I hold a brush.",
        ),
        ("I feel nothing at all when I hold the brush.", "fuzzy", "I feel nothing at all when I hold a brush."),
        ("The weather was lovely on Sunday.", "failed", None),
        ("I am tirred.", "failed", None),  # two places, none better
        ("", "failed", None),
        ("\u200b", "failed", None),
        ("get", "exact", "get"),
        ("ove", "failed", None),  # inside a word
        ("ove paint", "exact", "ove paint"),  # cut words, but several
    ],
)
def test_align_finds(sentence, kind, place):
    assert found(sentence) == (kind, place)


# Its sentences are the fifth and the seventh; a tie goes to the earlier one.
@pytest.mark.parametrize(("hint", "which"), [(None, 0), (0, 0), (4, 0), (5, 0), (6, 1), (99, 1)])
@pytest.mark.parametrize("sentence", ["I am tired.", "i am  TIRED."])
def test_align_takes_the_occurrence_nearest_to_the_hint(sentence, hint, which):
    starts = (POST.index("I am tired."), POST.rindex("I am tired."))
    assert align(sentence, POST, hint=hint).span == Span(starts[which], starts[which] + len("I am tired."))


def test_align_prefers_whole_words_over_an_earlier_part_of_a_word():
    assert align("art", "Startle the art lover", hint=None).span == Span(12, 15)


def test_align_score_is_the_indel_similarity():
    sentence, text = "I cannot sleep at nite", "Yes. I cannot sleep at night. No."
    alignment = align(sentence, text, hint=None, cutoff=80)
    normalised, place = "i cannot sleep at nite", "i cannot sleep at night."

    def lcs(a: str, b: str) -> int:
        table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
        for i, x in enumerate(a):
            for j, y in enumerate(b):
                table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
        return table[-1][-1]

    best = max(200 * lcs(normalised, p) / (len(normalised) + len(p)) for p in (place, "i cannot sleep at"))
    assert alignment.kind == "fuzzy"
    assert alignment.score == pytest.approx(best)


@pytest.mark.parametrize(
    ("cutoff", "margin", "kind"), [(90, 5, "fuzzy"), (99, 5, "failed"), (90, 60, "failed"), (0, 0, "fuzzy")]
)
def test_align_fuzzy_needs_cutoff_and_margin(cutoff, margin, kind):
    sentence = "Now I feel nothing at all when i held a brush."
    alignment = align(sentence, POST, hint=None, cutoff=cutoff, margin=margin)
    assert alignment.kind == kind
    assert (alignment.span is None) == (kind == "failed")
    assert 90 < alignment.score < 99  # The best score is known even where it fails.
    assert alignment.score - alignment.runner_up < 60


def test_align_refuses_two_equally_good_places():
    text = "I never sleep through the night. Work was fine. I never sleep through the night!"
    alignment = align("I never slep thruogh the night", text, hint=0)
    assert alignment.kind == "failed"
    assert alignment.runner_up > 85


def test_align_finds_an_edited_sentence_late_in_a_long_post():
    filler = " ".join(f"Day number {i} went by and the {i % 97} trams were late again." for i in range(600))
    text = f"{filler} Since then I wish that I could fall asleep forever. {filler}"
    assert found("Since then, I wish that I could fall asleep for ever", text, 3) == (
        "fuzzy",
        "Since then I wish that I could fall asleep forever.",
    )


@given(st.lists(st.text("abcdefghij ,’", min_size=5, max_size=30), min_size=1, max_size=6), st.data())
def test_align_finds_every_verbatim_part_exactly(parts, data):
    text = ". ".join(parts)
    part = data.draw(st.sampled_from(parts))
    if not part.strip():
        return
    alignment = align(part, text, hint=None)
    if alignment.kind == "exact":
        assert text[alignment.span.start : alignment.span.end] == part.strip()
    else:
        assert " " not in part.strip()  # Only single words inside longer words are not taken.


@given(TRICKY_TEXTS, TRICKY_TEXTS, TRICKY_TEXTS)
def test_align_exact_and_normalised_spans_normalise_to_the_sentence(before, sentence, after):
    text = f"{before} {sentence} {after}"
    alignment = align(sentence.swapcase(), text, hint=None)
    if alignment.kind in ("exact", "normalised"):
        assert alignment.score == 100
        assert normalise(text[alignment.span.start : alignment.span.end]).text == normalise(sentence.swapcase()).text
    if sentence.strip() and len(sentence.split()) > 1:
        assert align(sentence, text, hint=None).kind == "exact"


@given(TRICKY_TEXTS, st.data())
def test_normalise_maps_ranges_back_to_text_that_normalises_alike(text, data):
    whole = normalise(text)
    assert len(whole.text) == len(whole.starts) == len(whole.ends)
    assert whole.text == whole.text.strip(" ")
    if not whole.text:
        return
    start = data.draw(st.integers(0, len(whole.text) - 1))
    end = data.draw(st.integers(start + 1, len(whole.text)))
    span = whole.original(start, end)
    piece = whole.text[start:end]
    if span is not None and piece == piece.strip(" "):
        assert normalise(text[span.start : span.end]).text == piece


@given(st.text(st.characters(categories=["L", "N"]), max_size=30))
def test_normalise_of_words_is_unicode_nfkc_casefold(text):
    def reference(value: str) -> str:
        # Unicode, chapter 3.13: toNFKC_Casefold, without the removal of ignorable characters.
        return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold()).replace(" ", "")

    assert unicodedata.normalize("NFKC", normalise(text).text) == unicodedata.normalize("NFKC", reference(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ａ  B\r\n\tC", "a b c"),
        ("“x” ‘y’ «z» ''q''", '"x" \'y\' "z" "q"'),
        ("a—b – c--d", "a-b - c-d"),
        ("a… b.... c..", "a... b... c..."),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("e\u0301 É", "é é"),
        ("ﬁt Straße", "fit strasse"),
        ("\u00a0 x \u200b ", "x"),
        (" ", ""),
    ],
)
def test_normalise_removes_the_differences_of_copying(text, expected):
    assert normalise(text).text == expected


def test_normalise_does_not_cut_a_ligature():
    assert align("it is wrong", "Yes. Proﬁt is wrong.", hint=None).kind != "normalised"
    assert normalise("ﬁ").original(0, 1) is None
    assert normalise("ﬁ").original(0, 2) == Span(0, 1)
