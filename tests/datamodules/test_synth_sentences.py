import re

import pytest

from redsm5.datamodules.synth.draw import Draw
from redsm5.datamodules.synth.phrases import CRITERIA, load_phrases
from redsm5.datamodules.synth.sentences import SentenceMaker

KINDS = ("other", "past", "negation", "idiom", "hypothetical", "quote", "advice")
METHODS = r"\b(pills?|overdos\w*|bridge|rope|hang\w*|gun|knife|blade|razor|cut\w*|jump\w*|train|poison|roof)\b"


def _maker(seed: str) -> SentenceMaker:
    return SentenceMaker(load_phrases(), Draw(seed))


@pytest.mark.parametrize("code", CRITERIA)
def test_evidence_and_distractors_share_words_but_no_sentence(code):
    maker = _maker(code)
    evidence = {maker.evidence(code).text for _ in range(400)}
    distractors = {maker.distractor(code).text for _ in range(400)}
    assert not evidence & distractors
    assert len(evidence) > 380
    words = [set(" ".join(texts).lower().split()) for texts in (evidence, distractors)]
    assert len(words[0] & words[1]) / len(words[0]) > 0.6


@pytest.mark.parametrize("code", CRITERIA)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_distractor_is_a_sentence(code, kind):
    maker = _maker(code + kind)
    for _ in range(20):
        sentence = maker.distractor(code, kind)
        assert (sentence.kind, sentence.criterion, sentence.evidence) == (kind, code, False)
        assert re.fullmatch(r"[A-Z0-9].*[.!?]", sentence.text)
        assert not set("@{}[]|") & set(sentence.text)


def test_evidence_is_told_in_the_first_person():
    maker = _maker("first")
    for code in CRITERIA:
        for _ in range(200):
            text = maker.evidence(code).text
            assert re.search(r"\b(I|me|my|myself)\b", text, re.IGNORECASE), text


def test_filler_has_no_criterion():
    maker = _maker("filler")
    for kind in ("open", "plain", "close", "tiny", "special"):
        sentence = maker.filler(kind)
        assert (sentence.criterion, sentence.evidence, sentence.kind) == (None, False, kind)


def test_sentences_on_suicide_name_no_method():
    own = load_phrases().criteria["SUICIDAL_THOUGHTS"]
    for phrase in (*own.cores, *own.slots["passing"]):
        assert not re.search(METHODS, phrase), phrase


def test_words_counts_at_white_space():
    sentence = _maker("words").filler()
    assert sentence.words == len(sentence.text.split())
