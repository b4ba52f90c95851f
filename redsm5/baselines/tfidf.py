"""TF-IDF and logistic regression: the baseline that a fine-tuned encoder has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from redsm5.datamodules.corpus import Corpus, Span
from redsm5.datamodules.gold import gold_post
from redsm5.datamodules.sentences import split_sentences
from redsm5.errors import UserError
from redsm5.metrics.records import PredictedPost, ScoredSpan

_INVERSE_REGULARISATION = 10.0


class Parts(Protocol):
    """Ids of the posts of each part; a ``Split`` is one."""

    @property
    def train(self) -> tuple[str, ...]:
        """Posts to fit on."""

    @property
    def val(self) -> tuple[str, ...]:
        """Posts to tune on."""

    @property
    def test(self) -> tuple[str, ...]:
        """Posts to test on."""


def run_tfidf(corpus: Corpus, split: Parts, part: Literal["val", "test"], seed: int = 0) -> list[PredictedPost]:
    """Fit on the training part and predict another.

    Two models per criterion: one on whole posts, which gives the probabilities, and one on single sentences (evidence
    against all others), which ranks the sentences of a post as candidates.

    Args:
        corpus: The corpus.
        split: Its parts.
        part: The part to predict.
        seed: Seed of the solver.

    Returns:
        A prediction per post of the part, in its order. The candidates of a criterion are all sentences of the post,
        best first; ``score`` is the log-odds. A criterion that all or none of the training posts have gets probability
        1 or 0; one that no training sentence is evidence of gets score 0 throughout, in the order of the text.

    Raises:
        UserError: scikit-learn is not installed, or the training part has no words in common to learn from.
    """
    post_ids = split.val if part == "val" else split.test
    if not post_ids:
        return []
    texts = {post.id: post.text for post in corpus.posts}
    train = [gold_post(corpus, post_id) for post_id in split.train]
    labels = np.array([gold.labels for gold in train])
    posts = TfidfModel([texts[gold.post_id] for gold in train], labels, seed)
    probabilities = posts.probabilities([texts[post_id] for post_id in post_ids])

    examples = [(gold, span) for gold in train for span in gold.sentences]
    evidence = np.array([[_is_evidence(span, found) for found in gold.evidence] for gold, span in examples])
    model = TfidfModel([texts[gold.post_id][span.start : span.end] for gold, span in examples], evidence, seed)

    predicted: list[PredictedPost] = []
    for post_id, of_post in zip(post_ids, probabilities, strict=True):
        text = texts[post_id]
        spans = split_sentences(text) or (Span(0, len(text)),)
        scores = model.log_odds([text[span.start : span.end] for span in spans])
        candidates = tuple(_ranked(spans, scores[:, k]) for k in range(len(corpus.codes)))
        predicted.append(PredictedPost(post_id, tuple(map(float, of_post)), candidates))
    return predicted


class TfidfModel:
    """One-vs-rest logistic regression with balanced classes on (1 + log tf) * idf of words and pairs of words.

    Args:
        texts: Texts to fit on.
        labels: 0/1, one row per text and one column per criterion.
        seed: Seed of the solver.

    Raises:
        UserError: scikit-learn is not installed, or no word occurs in two of the texts.
    """

    def __init__(self, texts: Sequence[str], labels: NDArray[np.int64], seed: int) -> None:
        try:
            from sklearn.feature_extraction.text import TfidfVectorizer
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise UserError(
                "The TF-IDF baseline needs scikit-learn, which is not installed: run pip install 'redsm5[demo]'."
            ) from error
        self._vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        try:
            features = self._vectorizer.fit_transform(texts)
        except ValueError as error:  # empty vocabulary, no terms remain
            raise UserError(
                f"The TF-IDF baseline found no words to learn from in {len(texts)} training texts: use a larger corpus."
            ) from error
        self._constant = labels[0]
        self._models: list[Any] = []
        for column in labels.T:
            model = LogisticRegression(
                C=_INVERSE_REGULARISATION, class_weight="balanced", solver="liblinear", random_state=seed, max_iter=1000
            )
            self._models.append(model.fit(features, column) if column.min() < column.max() else None)

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities ``[texts, criteria]``; 0 or 1 for a criterion without an example of the other class."""
        features = self._vectorizer.transform(texts)
        columns = [
            np.full(len(texts), float(constant)) if model is None else model.predict_proba(features)[:, 1]
            for model, constant in zip(self._models, self._constant, strict=True)
        ]
        return np.stack(columns, axis=1)

    def log_odds(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Values of the decision functions ``[texts, criteria]``; 0 for a criterion without an example of a class."""
        features = self._vectorizer.transform(texts)
        columns = [
            np.zeros(len(texts)) if model is None else model.decision_function(features) for model in self._models
        ]
        return np.stack(columns, axis=1)


def _is_evidence(sentence: Span, evidence: tuple[Span, ...]) -> int:
    """1 where more than half of the sentence lies in one span of evidence."""
    length = sentence.end - sentence.start
    return int(any(2 * (min(sentence.end, e.end) - max(sentence.start, e.start)) > length for e in evidence))


def _ranked(spans: Sequence[Span], scores: NDArray[np.float64]) -> tuple[ScoredSpan, ...]:
    order = np.argsort(-scores, kind="stable")
    return tuple(ScoredSpan(spans[index].start, spans[index].end, float(scores[index])) for index in order)
