"""The start/end evidence head as a module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from redsm5.datamodules.batch import Batch
from redsm5.modules.criteria_head_layers import INIT_STD
from redsm5.modules.decoding import Candidates, SpanDecoding
from redsm5.modules.evidence_loss import EvidenceLoss
from redsm5.modules.evidence_module import EvidenceModule
from redsm5.modules.output import EvidenceLosses, EvidenceOutput
from redsm5.modules.start_end_candidates import best_spans
from redsm5.modules.start_end_loss import start_end_loss

INSIDE_BIAS = -3.0
"""Log-odds of a token to be inside evidence before training: about one in twenty."""

MASKED = -1e9
"""Logit of positions that cannot be chosen: probability 0 in fp32, and still finite after sums of a few of them."""


class StartEndModule(EvidenceModule):
    """Start and end logits per token and output, with the null option at position 0, and inside logits.

    The head of BERT for SQuAD 2.0 (Devlin et al. 2019, section 4.3) with K outputs, beside a tagging of each token.

    Args:
        hidden_size: H.
        n_outputs: K.
        dropout: Rate of the dropout on the token states.
        inside_scale: What a span's mean inside logit counts in its score; None for a head without inside logits.
    """

    def __init__(self, hidden_size: int, n_outputs: int, dropout: float, *, inside_scale: float | None) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.inside_scale = inside_scale
        self.n_outputs = n_outputs
        kinds = 2 if inside_scale is None else 3
        self.linear = nn.Linear(hidden_size, kinds * n_outputs)
        nn.init.normal_(self.linear.weight, std=INIT_STD)
        nn.init.zeros_(self.linear.bias)
        if inside_scale is not None:
            # Few tokens are evidence: starting there spares the first steps (Lin et al. 2017, section 4.1).
            nn.init.constant_(self.linear.bias[2 * n_outputs :], INSIDE_BIAS)

    def forward(self, states: Tensor, batch: Batch) -> EvidenceOutput:
        """Start and end logits fp32 [W, L, K], masked outside position 0 and the context; inside logits unmasked."""
        # fp32 before masking: MASKED does not exist in fp16.
        logits = self.linear(self.dropout(states)).float()
        allowed = batch.context_mask.clone()
        allowed[:, 0] = True
        bounds, inside = logits[..., : 2 * self.n_outputs], logits[..., 2 * self.n_outputs :]
        start, end = bounds.masked_fill(~allowed.unsqueeze(-1), MASKED).chunk(2, dim=-1)
        return EvidenceOutput(start=start, end=end, inside=None if self.inside_scale is None else inside)

    def loss(self, output: EvidenceOutput, batch: Batch, settings: EvidenceLoss) -> EvidenceLosses:
        """Soft-target cross-entropy with null, and unlikelihood of hard negatives."""
        return start_end_loss(output, batch, settings)

    def token_probabilities(self, output: EvidenceOutput, batch: Batch) -> Tensor:
        """The inside probability; without inside logits P(start <= t) P(end >= t), the two taken as independent."""
        context = batch.context_mask.unsqueeze(-1)
        if output.inside is not None:
            return output.inside.sigmoid().masked_fill(~context, 0.0)
        start = output.start.softmax(dim=1).masked_fill(~context, 0.0)
        end = output.end.softmax(dim=1).masked_fill(~context, 0.0)
        begun, not_over = start.cumsum(dim=1), end.flip(1).cumsum(dim=1).flip(1)
        return (begun * not_over).clamp(max=1.0).masked_fill(~context, 0.0)

    @torch.no_grad()
    def candidates(self, output: EvidenceOutput, batch: Batch, decoding: SpanDecoding) -> Candidates:
        """The best ``top_k`` starts times the best ``top_k`` ends of every window and output."""
        return best_spans(output, batch, decoding, inside_scale=self.inside_scale or 0.0)
