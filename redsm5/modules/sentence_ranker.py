"""The evidence head that ranks the sentences of a post, as a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from redsm5.datamodules.batch import Batch
from redsm5.modules.decoding import Candidates, SpanDecoding
from redsm5.modules.evidence_losses import Part
from redsm5.modules.evidence_module import EvidenceModule, candidates_of
from redsm5.modules.sentence_scores import (
    SentenceOutput,
    SentenceScores,
    sentence_parts,
    sentence_rows,
)

if TYPE_CHECKING:
    from redsm5.modules.evidence_head import SentenceRanker


class SentenceRankerModule(EvidenceModule[SentenceOutput]):
    """A softmax over null and the sentences of a whole post; what is found are sentences.

    Args:
        hidden_size: H.
        n_outputs: K.
        option: Its fields.
    """

    def __init__(self, hidden_size: int, n_outputs: int, option: SentenceRanker) -> None:
        super().__init__()
        self.weights = option.weights
        self.scores = SentenceScores(hidden_size, n_outputs, option.dropout)

    def forward(self, states: Tensor, batch: Batch) -> SentenceOutput:
        """Logits of the sentences of each post."""
        output: SentenceOutput = self.scores(states, batch)
        return output

    def loss_parts(self, output: SentenceOutput, batch: Batch) -> dict[str, Part]:
        """Soft-target cross-entropy over sentences with null, and unlikelihood of hard negatives."""
        return sentence_parts(output, batch)

    def token_probabilities(self, output: SentenceOutput, batch: Batch) -> Tensor:
        """The probability of the sentence that holds the token; of two where a token belongs to both."""
        window, sentence, first, last, _ = sentence_rows(batch).unbind(dim=1)
        of_row = output.logits.softmax(dim=1)[batch.window_example[window], sentence + 1]
        edges = of_row.new_zeros(*batch.context_mask.shape, of_row.shape[1])
        edges = F.pad(edges, (0, 0, 0, 1)).index_put((window, first), of_row, accumulate=True)
        edges = edges.index_put((window, last + 1), -of_row, accumulate=True)
        held = edges.cumsum(dim=1)[:, :-1].clamp(0.0, 1.0)
        return held.masked_fill(~batch.context_mask.unsqueeze(-1), 0.0)

    @torch.no_grad()
    def candidates(
        self, output: SentenceOutput, batch: Batch, decoding: SpanDecoding, allowed: Tensor | None = None
    ) -> Candidates:
        """Every sentence, as far as a window shows it; the score is the logit's margin over that of null.

        Of an example and output without a sentence of at most ``max_characters`` characters the best one stands in.
        """
        example, slot = (output.shown >= 0).nonzero(as_tuple=True)
        window, _, first, last, _ = sentence_rows(batch)[output.shown[example, slot]].unbind(dim=1)
        begin, stop = batch.offsets[window, first, 0], batch.offsets[window, last, 1]
        margin = output.logits[:, 1:] - output.logits[:, :1]
        usable = torch.zeros_like(margin, dtype=torch.bool)
        usable[example, slot] = (stop > begin).unsqueeze(1)
        if allowed is not None:
            blocked = F.pad((~allowed).cumsum(dim=1), (0, 0, 1, 0))
            usable[example, slot] &= blocked[window, last + 1] == blocked[window, first]
        fits = usable.clone()
        fits[example, slot] &= (stop - begin <= decoding.max_characters).unsqueeze(1)
        best = margin.masked_fill(~usable, -torch.inf)
        best = usable & (best == best.amax(dim=1, keepdim=True)) if usable.shape[1] else usable
        row, k = (fits | (best & ~fits.any(dim=1, keepdim=True)))[example, slot].nonzero(as_tuple=True)
        score = margin[example[row], slot[row], k]
        return candidates_of(batch, window[row], k, begin[row], stop[row], score)
