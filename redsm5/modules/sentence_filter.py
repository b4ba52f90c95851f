"""A ranking of sentences in front of another evidence head, as a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from redsm5.datamodules.batch import Batch
from redsm5.modules.decoding import Candidates, SpanDecoding
from redsm5.modules.evidence_losses import Part
from redsm5.modules.evidence_module import EvidenceModule
from redsm5.modules.output import EvidenceOutput
from redsm5.modules.sentence_scores import (
    SentenceOutput,
    SentenceScores,
    sentence_parts,
    sentence_rows,
)
from redsm5.modules.start_end_loss import covered

if TYPE_CHECKING:
    from redsm5.modules.evidence_head import SentenceFilter

PREFIX = "sentence_"


@dataclass
class FilteredOutput(EvidenceOutput):
    """Logits of the sentences, and what the other head says.

    Attributes:
        sentences: Of ``SentenceScores``.
        inner: Of the head behind the filter.
    """

    sentences: SentenceOutput
    inner: EvidenceOutput


class SentenceFilterModule(EvidenceModule[FilteredOutput]):
    """Another head that proposes spans only in the best sentences of the whole post; both learn beside each other.

    Args:
        hidden_size: H.
        n_outputs: K.
        option: Its fields.
    """

    def __init__(self, hidden_size: int, n_outputs: int, option: SentenceFilter) -> None:
        super().__init__()
        self.top_k = option.top_k
        self.inner: EvidenceModule[Any] = option.head.build(hidden_size, n_outputs)
        self.scores = SentenceScores(hidden_size, n_outputs, option.dropout)
        ours = {PREFIX + name: option.weight * weight for name, weight in option.weights.items()}
        self.weights = {**self.inner.weights, **ours}

    def forward(self, states: Tensor, batch: Batch) -> FilteredOutput:
        """Logits of the sentences, and the output of the other head."""
        return FilteredOutput(sentences=self.scores(states, batch), inner=self.inner(states, batch))

    def loss_parts(self, output: FilteredOutput, batch: Batch) -> dict[str, Part]:
        """The parts of the other head, and those of the ranking."""
        ours = {PREFIX + name: part for name, part in sentence_parts(output.sentences, batch).items()}
        return {**self.inner.loss_parts(output.inner, batch), **ours}

    def token_probabilities(self, output: FilteredOutput, batch: Batch) -> Tensor:
        """Those of the other head: a choice of sentences has no gradient."""
        return self.inner.token_probabilities(output.inner, batch)

    @torch.no_grad()
    def candidates(
        self, output: FilteredOutput, batch: Batch, decoding: SpanDecoding, allowed: Tensor | None = None
    ) -> Candidates:
        """Candidates of the other head that lie in the ``top_k`` best sentences of their post."""
        best = self.best_sentences(output.sentences, batch)
        return self.inner.candidates(output.inner, batch, decoding, best if allowed is None else best & allowed)

    def best_sentences(self, output: SentenceOutput, batch: Batch) -> Tensor:
        """Tokens of the ``top_k`` best sentences of each post and output, and those of no sentence: bool [W, L, K]."""
        rows = sentence_rows(batch)
        logits = output.logits[:, 1:]
        top = logits.topk(min(self.top_k, logits.shape[1]), dim=1).indices
        chosen = torch.zeros_like(logits, dtype=torch.bool).scatter(1, top, True)
        row, k = chosen[batch.window_example[rows[:, 0]], rows[:, 1]].nonzero(as_tuple=True)
        shape = torch.Size((*batch.context_mask.shape, logits.shape[2]))
        in_best = covered(torch.stack([rows[row, 0], k, rows[row, 2], rows[row, 3]], dim=1), shape)
        zeros = torch.zeros_like(rows[:, 0])
        in_any = covered(torch.stack([rows[:, 0], zeros, rows[:, 2], rows[:, 3]], dim=1), torch.Size((*shape[:2], 1)))
        return in_best | ~in_any
