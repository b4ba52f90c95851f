import sys
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from redsm5.baselines.tfidf import run_tfidf
from redsm5.datamodules.corpus import Annotation, Corpus, Criterion, Post, Span
from redsm5.datamodules.sentences import split_sentences
from redsm5.errors import UserError

SENTENCES = {"A": "The red apple is sweet.", "B": "A blue boat sails north.", "-": "Nothing happens on this page."}


@dataclass(frozen=True)
class Parts:
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def _corpus(kinds: list[str], codes: str = "AB") -> Corpus:
    """A post per item: its letters are the criteria it has evidence of, between sentences of no meaning."""
    posts, annotations = [], []
    for number, letters in enumerate(kinds):
        text = " ".join([SENTENCES["-"], *(SENTENCES[letter] for letter in letters), f"The end of number {number}."])
        post_id = f"s_{number}_1"
        posts.append(Post(post_id, text, f"s_{number}"))
        for letter in letters:
            start = text.index(SENTENCES[letter])
            span = Span(start, start + len(SENTENCES[letter]))
            annotations.append(Annotation(post_id, f"{post_id}_1", letter, 1, span, "exact", 100.0))
    criteria = tuple(Criterion(code, code, code) for code in codes)
    return Corpus(tuple(posts), tuple(annotations), criteria, "0", "test")


def _split(corpus: Corpus, val: int = 6, test: int = 6) -> Parts:
    ids = [post.id for post in corpus.posts]
    return Parts(tuple(ids[: -val - test]), tuple(ids[-val - test : -test]), tuple(ids[-test:]))


CORPUS = _corpus(["A", "B", "AB", "", "BA", "A", "B", ""] * 5)


def test_probabilities_equal_those_of_scikit_learns_one_vs_rest():
    split = _split(CORPUS)
    texts = {post.id: post.text for post in CORPUS.posts}
    reference = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2),
        OneVsRestClassifier(LogisticRegression(C=10, class_weight="balanced", solver="liblinear", max_iter=1000)),
    )
    reference.fit([texts[i] for i in split.train], np.array([CORPUS.labels(i) for i in split.train]))
    expected = reference.predict_proba([texts[i] for i in split.test])
    predicted = run_tfidf(CORPUS, split, "test")
    assert [post.post_id for post in predicted] == list(split.test)
    np.testing.assert_allclose([post.probabilities for post in predicted], expected, rtol=1e-6)


@pytest.mark.parametrize("part", ["val", "test"])
def test_candidates_are_all_sentences_with_the_evidence_first(part):
    split = _split(CORPUS)
    for post in run_tfidf(CORPUS, split, part):
        text = CORPUS.post_by_id[post.post_id].text
        for k, candidates in enumerate(post.candidates):
            assert {(c.start, c.end) for c in candidates} == {(s.start, s.end) for s in split_sentences(text)}
            scores = [candidate.score for candidate in candidates]
            assert scores == sorted(scores, reverse=True)
            best = text[candidates[0].start : candidates[0].end]
            if CORPUS.labels(post.post_id)[k]:
                assert best == SENTENCES["AB"[k]]
                assert scores[0] > 0 > scores[1]


def test_nothing_of_the_predicted_part_is_learned_from():
    split = _split(CORPUS)
    changed = Corpus(CORPUS.posts, tuple(a for a in CORPUS.annotations if a.post_id not in split.test), *CORPUS_REST)
    assert run_tfidf(changed, split, "test") == run_tfidf(CORPUS, split, "test")


CORPUS_REST = (CORPUS.criteria, CORPUS.sha256, CORPUS.source)


@pytest.mark.parametrize(("kinds", "probability"), [(["A", "A"], 0.0), (["AB", "B"], 1.0)])
def test_criterion_without_a_second_class_gets_its_constant(kinds, probability):
    corpus = _corpus(kinds * 10)
    for post in run_tfidf(corpus, _split(corpus), "test"):
        assert post.probabilities[1] == probability
        if probability == 0:
            assert [c.score for c in post.candidates[1]] == [0.0] * len(post.candidates[1])
            assert [c.start for c in post.candidates[1]] == sorted(c.start for c in post.candidates[1])


def test_unaligned_evidence_still_counts_for_the_post():
    unaligned = tuple(
        Annotation(a.post_id, a.sentence_id, a.criterion, a.status, None, "failed", 0.0) for a in CORPUS.annotations
    )
    corpus = Corpus(CORPUS.posts, unaligned, *CORPUS_REST)
    split = _split(CORPUS)
    for with_spans, without in zip(run_tfidf(CORPUS, split, "test"), run_tfidf(corpus, split, "test"), strict=True):
        assert with_spans.probabilities == without.probabilities
        assert all(candidate.score == 0 for ranking in without.candidates for candidate in ranking)


def test_empty_part_gives_nothing():
    ids = tuple(post.id for post in CORPUS.posts)
    assert run_tfidf(CORPUS, Parts(ids, (), ids[:1]), "val") == []


def test_too_few_words_is_a_sentence():
    corpus = _corpus(["", "A", "B"])
    with pytest.raises(UserError, match="1 training texts"):
        run_tfidf(corpus, _split(corpus, 1, 1), "test")


def test_missing_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.feature_extraction.text", None)
    with pytest.raises(UserError, match=r"redsm5\[demo\]"):
        run_tfidf(CORPUS, _split(CORPUS), "test")
