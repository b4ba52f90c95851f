"""Gathers the predictions of an epoch, from every batch and every rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from redsm5.datamodules.batch import Batch
from redsm5.errors import Diverged
from redsm5.metrics.records import PredictedPost, ScoredSpan
from redsm5.modules.decoding import SpanDecoding, decode
from redsm5.modules.evidence_module import EvidenceModule
from redsm5.modules.output import ModelOutput

Entry = tuple[int, int, float, tuple[ScoredSpan, ...]]
"""Index of the post, criterion, probability, spans."""


class PredictionCollector:
    """Collects probabilities and decoded spans per (post, criterion), in either format.

    Args:
        n_criteria: Number of criteria of the corpus.
        decoding: Limits on the spans.
    """

    def __init__(self, n_criteria: int, decoding: SpanDecoding) -> None:
        self.n_criteria = n_criteria
        self.decoding = decoding
        self._entries: list[Entry] = []

    def add(self, batch: Batch, output: ModelOutput, head: EvidenceModule[Any]) -> None:
        """Take the predictions of a batch: one post per example, or one (post, criterion) pair.

        Raises:
            Diverged: They are not finite, as after a training that diverged.
        """
        probabilities = _to_numpy(output.criteria_logits.sigmoid())
        candidates = head.candidates(output.evidence, batch, self.decoding)
        if not (np.isfinite(probabilities).all() and np.isfinite(candidates.score).all()):
            raise Diverged(
                "the training has diverged: the model's outputs are no numbers any more; lower model.optimizer.lr and "
                "head_lr, or set trainer.gradient_clip_val"
            )
        n_examples, n_outputs = probabilities.shape
        spans = decode(candidates, n_examples, n_outputs, self.decoding)
        posts, pairs = batch.post_index.tolist(), batch.criterion.tolist()
        for e in range(n_examples):
            for k in range(n_outputs):
                criterion = k if pairs[e] < 0 else pairs[e]
                self._entries.append((posts[e], criterion, float(probabilities[e, k]), spans[e][k]))

    def result(self, post_ids: Sequence[str]) -> list[PredictedPost]:
        """One prediction per collected post, in the order of the corpus; the same on every rank.

        Args:
            post_ids: Ids of the posts that ``batch.post_index`` points into.

        Raises:
            RuntimeError: A criterion of a collected post was never predicted.
        """
        entries = self._entries
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            gathered: list[list[Entry]] = [[] for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather_object(gathered, entries)
            entries = [entry for part in gathered for entry in part]
        by_post: dict[int, dict[int, Entry]] = {}
        for entry in entries:  # a sampler may repeat an example to give ranks equal counts: the later one wins
            by_post.setdefault(entry[0], {})[entry[1]] = entry
        predicted = []
        for post, row in sorted(by_post.items()):
            if len(row) != self.n_criteria:
                raise RuntimeError(f"post {post_ids[post]}: {len(row)} of {self.n_criteria} criteria were predicted")
            ordered = [row[k] for k in range(self.n_criteria)]
            predicted.append(
                PredictedPost(
                    post_id=post_ids[post],
                    probabilities=tuple(entry[2] for entry in ordered),
                    candidates=tuple(entry[3] for entry in ordered),
                )
            )
        return predicted


def _to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return array
