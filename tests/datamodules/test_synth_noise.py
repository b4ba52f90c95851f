import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz

from redsm5.datamodules.synth.draw import Draw
from redsm5.datamodules.synth.noise import Style, curl, draw_style, quote, straighten

SENTENCE = "My mother's doctor said \"rest\", but I can't fall asleep before dawn."


def _normal(text: str) -> str:
    """What an aligner may undo: NFKC, quotes, white space and case."""
    for curly, straight in zip("“”‘’", "\"\"''", strict=True):
        text = text.replace(curly, straight)
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@given(st.integers(0, 10_000), st.sampled_from([SENTENCE, SENTENCE.lower(), curl(SENTENCE), "thank you.", "No."]))
def test_form_noise_changes_only_what_normalising_undoes(seed, sentence):
    noisy = quote(sentence, "form", Draw(str(seed)))
    assert noisy != sentence
    assert _normal(noisy) == _normal(sentence)


@given(st.integers(0, 10_000))
def test_word_noise_stays_close_but_is_no_longer_equal(seed):
    noisy = quote(SENTENCE, "words", Draw(str(seed)))
    assert _normal(noisy) != _normal(SENTENCE)
    assert fuzz.ratio(noisy, SENTENCE) >= 92


def test_no_noise_leaves_the_sentence_alone():
    assert quote(SENTENCE, "none", Draw("1")) == SENTENCE


def test_curl_and_straighten_are_inverse():
    assert curl(SENTENCE) == "My mother’s doctor said “rest”, but I can’t fall asleep before dawn."
    assert straighten(curl(SENTENCE)) == SENTENCE


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (Style(), "I can't."),
        (Style(lower=True), "i can't."),
        (Style(bare=True), "I cant."),
        (Style(curly=True), "I can’t."),
        (Style(lower=True, bare=True, curly=True), "i cant."),
    ],
)
def test_style_types_a_sentence(style, expected):
    assert style.apply("I can't.") == expected


def test_most_styles_are_plain():
    draw = Draw("styles")
    plain = sum(draw_style(draw) == Style() for _ in range(2000))
    assert 0.6 < plain / 2000 < 0.75
