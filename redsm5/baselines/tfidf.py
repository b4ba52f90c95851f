"""TF-IDF and logistic regression: the baseline that a fine-tuned encoder has to beat."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from redsm5.datamodules.corpus import Corpus, Span
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
    """Fit on the posts of the training part and predict those of another.

    Words and pairs of words, weighted by TF-IDF (with 1 + log tf), go into one logistic regression per criterion with
    balanced classes. Probabilities are of whole posts. Evidence has no model of its own: the candidates of a criterion
    are the sentences of the post, best first by the decision function of the same regression on the sentence alone.

    Args:
        corpus: The corpus.
        split: Its parts.
        part: The part to predict.
        seed: Seed of the solver.

    Returns:
        A prediction per post of the part, in its order. ``score`` of a candidate is the log-odds of the sentence.
        A criterion that all or none of the training posts have gets its share of them as probability, and score 0.

    Raises:
        UserError: scikit-learn is not installed, or the training part has no words in common to learn from.
    """
    vectorizer = _vectorizer()
    texts = {post.id: post.text for post in corpus.posts}
    try:
        features = vectorizer.fit_transform([texts[post_id] for post_id in split.train])
    except ValueError as error:  # "empty vocabulary", "no terms remain": what scikit-learn says of too few posts
        raise UserError(
            f"The TF-IDF baseline found no words to learn from in the {len(split.train)} training posts: use more posts."
        ) from error
    labels = np.array([corpus.labels(post_id) for post_id in split.train], dtype=np.int64)

    post_ids = split.val if part == "val" else split.test
    if not post_ids:
        return []
    spans = [split_sentences(texts[post_id]) or (Span(0, len(texts[post_id])),) for post_id in post_ids]
    sentences = [texts[post_id][s.start : s.end] for post_id, own in zip(post_ids, spans, strict=True) for s in own]
    of_posts = vectorizer.transform([texts[post_id] for post_id in post_ids])
    of_sentences = vectorizer.transform(sentences)
    probabilities = np.empty((len(post_ids), len(corpus.codes)))
    scores = np.empty((len(sentences), len(corpus.codes)))
    for k in range(len(corpus.codes)):
        if labels[:, k].min() == labels[:, k].max():
            probabilities[:, k], scores[:, k] = float(labels[0, k]), 0.0
            continue
        model = _classifier(seed).fit(features, labels[:, k])
        probabilities[:, k] = model.predict_proba(of_posts)[:, 1]
        scores[:, k] = model.decision_function(of_sentences)

    predicted: list[PredictedPost] = []
    first = 0
    for row, (post_id, own) in enumerate(zip(post_ids, spans, strict=True)):
        of_post = scores[first : first + len(own)]
        first += len(own)
        candidates = tuple(_ranked(own, of_post[:, k]) for k in range(len(corpus.codes)))
        predicted.append(PredictedPost(post_id, tuple(map(float, probabilities[row])), candidates))
    return predicted


def _ranked(spans: tuple[Span, ...], scores: NDArray[np.float64]) -> tuple[ScoredSpan, ...]:
    order = np.argsort(-scores, kind="stable")
    return tuple(ScoredSpan(spans[index].start, spans[index].end, float(scores[index])) for index in order)


def _vectorizer() -> Any:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError as error:
        raise UserError(
            "The TF-IDF baseline needs scikit-learn, which is not installed: run pip install 'redsm5[demo]'."
        ) from error
    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)


def _classifier(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(
        C=_INVERSE_REGULARISATION, class_weight="balanced", solver="liblinear", random_state=seed, max_iter=1000
    )
