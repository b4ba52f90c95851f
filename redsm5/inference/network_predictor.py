"""The predictor of one network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch

from redsm5.datamodules.batching import TokenBudget
from redsm5.datamodules.corpus import Post
from redsm5.datamodules.dataset import PostDataset, WindowSettings
from redsm5.datamodules.formats import Example
from redsm5.datamodules.sampler import PlanSampler
from redsm5.datamodules.sentence_tokens import sentence_tokens
from redsm5.datamodules.targets import no_targets
from redsm5.datamodules.tokenization import tokenize
from redsm5.datamodules.tokenizer import check_vocabulary
from redsm5.errors import UserError
from redsm5.inference.build import build_network
from redsm5.inference.model_files import ModelFiles
from redsm5.inference.predictor import BATCH_TOKENS, Predictor
from redsm5.metrics.records import PredictedPost
from redsm5.modules.collector import PredictionCollector


class NetworkPredictor(Predictor):
    """One network.

    Args:
        files: The model.
        device: ``auto`` (CUDA where there is a GPU), or a device of torch.
        batch_tokens: Padded tokens per batch: what memory allows.

    Raises:
        UserError: The model cannot be built, or the device is not there.
    """

    def __init__(self, files: ModelFiles, *, device: str = "auto", batch_tokens: int = BATCH_TOKENS) -> None:
        self.criteria = files.criteria
        self.thresholds = files.thresholds if files.calibration is None else files.calibration.thresholds
        self.calibrated = files.calibration is not None
        self._calibration = files.calibration
        self.identity = files.identity
        self.recipe = files.recipe
        self.device = device_of(device)
        self.batch_tokens = batch_tokens
        self._tokenizer = files.tokenizer
        data = files.recipe.data
        self._layout = data.format.build(files.criteria, files.tokenizer)
        self._windows = WindowSettings(data.max_length - self._layout.longest_frame, data.stride, None, 0)
        self._batching = TokenBudget(train_tokens=batch_tokens, eval_tokens=batch_tokens)
        network = build_network(files, self._layout.n_outputs)
        check_vocabulary(files.tokenizer, network.encoder.vocabulary, files.recipe.network.encoder.id)
        self.network = network.to(self.device)

    def predict_chunk(self, posts: Sequence[Post]) -> list[PredictedPost]:
        """Predict some posts at once, in their order; see ``Predictor``."""
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
        predicted = collector.result([post.id for post in posts])
        return predicted if self._calibration is None else self._calibration(predicted)

    def _examples(self, posts: int) -> list[Example]:
        format = self.recipe.data.format
        return [example for post in range(posts) for example in format.examples(post, len(self.criteria))]

    def _autocast(self) -> AbstractContextManager[object]:
        """The precision of the training; fp16 needs a GPU, without one it is fp32."""
        precision = self.recipe.runtime.precision
        if precision == "none" or (precision == "fp16" and self.device.type != "cuda"):
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16 if precision == "bf16" else torch.float16)


def device_of(name: str) -> torch.device:
    """A device of torch by its name, or by ``auto``.

    Raises:
        UserError: It is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"there is no device {name!r} here; give auto, cpu, or cuda where there is a GPU") from error
    return device
