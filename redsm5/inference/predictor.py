"""A trained model that predicts posts, from Python or behind ``redsm5 predict``. Torch-free."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from redsm5.datamodules.corpus import Criterion, Post
from redsm5.errors import UserError
from redsm5.metrics.records import PredictedPost, ScoredSpan

CHUNK_POSTS = 1024
"""Posts that are sorted by length and predicted together, at most."""
CHUNK_CHARACTERS = 4_000_000
"""Characters of a chunk of posts, unless a single post is longer."""
BATCH_TOKENS = 8192
"""Padded tokens per batch."""
GROUP_CHARACTERS_PER_TOKEN = 8
"""Characters of a group of posts per token of a batch: about two batches."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one text.

    Attributes:
        probabilities: Per criterion, 0 to 1; calibrated where the predictor is.
        decisions: Per criterion, whether the probability is at or above the criterion's threshold.
        spans: Per criterion, the spans that beat the null option, best first; offsets count characters of the text.
    """

    probabilities: dict[str, float]
    decisions: dict[str, bool]
    spans: dict[str, tuple[ScoredSpan, ...]]

    @property
    def criteria(self) -> tuple[str, ...]:
        """Codes of the criteria that the text is decided to give evidence of."""
        return tuple(code for code, decided in self.decisions.items() if decided)


class Predictor(ABC):
    """A model ready to predict.

    Attributes:
        criteria: The criteria in the order of the outputs.
        thresholds: In the same order.
        identity: Hash of all that decides a prediction, the device aside.
        batch_tokens: Padded tokens per batch.
        calibrated: Whether probabilities are: those of a model that was exported with ``--confirmed``.
    """

    criteria: tuple[Criterion, ...]
    thresholds: tuple[float, ...]
    identity: str
    batch_tokens: int
    calibrated: bool = False

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the criteria in the order of the outputs."""
        return tuple(criterion.code for criterion in self.criteria)

    @property
    def group_characters(self) -> int:
        """Characters of posts that are best predicted at once: what is between two looks at the clock."""
        return GROUP_CHARACTERS_PER_TOKEN * self.batch_tokens

    @abstractmethod
    def predict_chunk(self, posts: Sequence[Post]) -> list[PredictedPost]:
        """Predict some posts at once, in their order; see ``chunks``.

        Args:
            posts: With texts that are not empty.
        """

    def predict(self, texts: str | Sequence[str]) -> list[Prediction]:
        """Predict texts.

        Args:
            texts: One text or several.

        Returns:
            One prediction per text, in their order.

        Raises:
            UserError: A text is empty or no string.
        """
        if not isinstance(texts, Iterable):
            raise UserError(f"texts is a {type(texts).__name__}; give a string or a list of strings")
        given = [texts] if isinstance(texts, str) else list(texts)
        for number, text in enumerate(given):
            if not isinstance(text, str):
                raise UserError(f"text {number} is a {type(text).__name__}; give a list of strings")
            if not text.strip():
                raise UserError(f"text {number} is empty; leave it out, nothing can be predicted")
        posts = [Post(str(number), text, str(number)) for number, text in enumerate(given)]
        return [self._named(predicted) for chunk in chunks(posts) for predicted in self.predict_chunk(chunk)]

    def _named(self, post: PredictedPost) -> Prediction:
        codes = self.codes
        decided = [p >= threshold for p, threshold in zip(post.probabilities, self.thresholds, strict=True)]
        spans = [tuple(span for span in ranked if span.score > 0) for ranked in post.candidates]
        return Prediction(
            probabilities=dict(zip(codes, post.probabilities, strict=True)),
            decisions=dict(zip(codes, decided, strict=True)),
            spans=dict(zip(codes, spans, strict=True)),
        )


def chunks(posts: Iterable[Post]) -> Iterator[list[Post]]:
    """Posts in lists of at most ``CHUNK_POSTS`` posts and ``CHUNK_CHARACTERS`` characters, or of one longer post.

    Args:
        posts: Any number.
    """
    chunk: list[Post] = []
    characters = 0
    for post in posts:
        if chunk and (len(chunk) == CHUNK_POSTS or characters + len(post.text) > CHUNK_CHARACTERS):
            yield chunk
            chunk, characters = [], 0
        chunk.append(post)
        characters += len(post.text)
    if chunk:
        yield chunk
