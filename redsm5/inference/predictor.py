"""A trained model that predicts posts, from Python or behind ``redsm5 predict``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from redsm5.datamodules.batching import TokenBudget
from redsm5.datamodules.corpus import Criterion, Post
from redsm5.datamodules.dataset import PostDataset, WindowSettings
from redsm5.datamodules.formats import Example
from redsm5.datamodules.sampler import PlanSampler
from redsm5.datamodules.sentence_tokens import sentence_tokens
from redsm5.datamodules.targets import no_targets
from redsm5.datamodules.tokenization import tokenize
from redsm5.datamodules.tokenizer import check_vocabulary
from redsm5.errors import UserError
from redsm5.inference.build import build_network
from redsm5.inference.model_files import ModelFiles, read_model
from redsm5.metrics.records import PredictedPost, ScoredSpan
from redsm5.modules.collector import PredictionCollector

CHUNK_POSTS = 1024
"""Posts that are sorted by length and predicted together, at most."""
CHUNK_CHARACTERS = 4_000_000
"""Characters of a chunk of posts, unless a single post is longer."""
BATCH_TOKENS = 8192
"""Padded tokens per batch."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one text.

    Attributes:
        probabilities: Per criterion, 0 to 1, not calibrated.
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


class Predictor:
    """A model ready to predict.

    Args:
        files: The model.
        device: ``auto`` (CUDA where there is a GPU), or a device of torch.
        batch_tokens: Padded tokens per batch: what memory allows.

    Attributes:
        criteria: The criteria in the order of the outputs.
        thresholds: In the same order.
        identity: Hash of all that decides a prediction, the device aside.
        batch_tokens: As given.

    Raises:
        UserError: The model cannot be built, or the device is not there.
    """

    def __init__(self, files: ModelFiles, *, device: str = "auto", batch_tokens: int = BATCH_TOKENS) -> None:
        self.criteria: tuple[Criterion, ...] = files.criteria
        self.thresholds = files.thresholds
        self.identity = files.identity
        self.recipe = files.recipe
        self.device = _device(device)
        self.batch_tokens = batch_tokens
        self._tokenizer = files.tokenizer
        data = files.recipe.data
        self._layout = data.format.build(files.criteria, files.tokenizer)
        self._windows = WindowSettings(data.max_length - self._layout.longest_frame, data.stride, None, 0)
        self._batching = TokenBudget(train_tokens=batch_tokens, eval_tokens=batch_tokens)
        network = build_network(files, self._layout.n_outputs)
        check_vocabulary(files.tokenizer, network.encoder.vocabulary, files.recipe.network.encoder.id)
        self.network = network.to(self.device)

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the criteria in the order of the outputs."""
        return tuple(criterion.code for criterion in self.criteria)

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

    def predict_chunk(self, posts: Sequence[Post]) -> list[PredictedPost]:
        """Predict some posts at once, in their order; see ``chunks``.

        Args:
            posts: With texts that are not empty.
        """
        tokens = tokenize([post.text for post in posts], self._tokenizer)
        sentences = None
        if self.recipe.network.evidence_head.needs_sentences:
            sentences = tuple(sentence_tokens(post.text, tokens.text(i)[1]) for i, post in enumerate(posts))
        dataset = PostDataset(
            tokens,
            (no_targets(len(self.criteria)),) * len(posts),
            self._layout,
            self._windows,
            training=False,
            sentences=sentences,
        )
        collector = PredictionCollector(len(self.criteria), self.recipe.decoding)
        with torch.inference_mode():
            for planned in PlanSampler(dataset, lambda _: self._examples(len(posts)), self._batching, seed=0):
                batch = dataset[planned].to(self.device)
                with self._autocast():
                    output = self.network(batch)
                collector.add(batch, output, self.network.evidence_head)
        return collector.result([post.id for post in posts])

    def _examples(self, posts: int) -> list[Example]:
        format = self.recipe.data.format
        return [example for post in range(posts) for example in format.examples(post, len(self.criteria))]

    def _autocast(self) -> AbstractContextManager[object]:
        """The precision of the training; fp16 needs a GPU, without one it is fp32."""
        precision = self.recipe.runtime.precision
        if precision == "none" or (precision == "fp16" and self.device.type != "cuda"):
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16 if precision == "bf16" else torch.float16)

    def _named(self, post: PredictedPost) -> Prediction:
        codes = self.codes
        decided = [p >= threshold for p, threshold in zip(post.probabilities, self.thresholds, strict=True)]
        spans = [tuple(span for span in ranked if span.score > 0) for ranked in post.candidates]
        return Prediction(
            probabilities=dict(zip(codes, post.probabilities, strict=True)),
            decisions=dict(zip(codes, decided, strict=True)),
            spans=dict(zip(codes, spans, strict=True)),
        )


def load(path: str | Path, *, device: str = "auto", batch_tokens: int = BATCH_TOKENS) -> Predictor:
    """The model of an exported folder or of a finished run.

    Args:
        path: The folder.
        device: ``auto`` (CUDA where there is a GPU), or a device of torch such as ``cpu`` or ``cuda:1``.
        batch_tokens: Padded tokens per batch: what memory allows.

    Raises:
        UserError: It holds no model, a file is damaged, or the device is not there.
    """
    return Predictor(read_model(path), device=device, batch_tokens=batch_tokens)


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


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"there is no device {name!r} here; give auto, cpu, or cuda where there is a GPU") from error
    return device
