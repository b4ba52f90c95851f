"""The start/end evidence head as a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from redsm5.datamodules.batch import Batch
from redsm5.modules.criteria_head_layers import INIT_STD
from redsm5.modules.decoding import Candidates, SpanDecoding
from redsm5.modules.evidence_losses import Part
from redsm5.modules.evidence_module import EvidenceModule
from redsm5.modules.output import EvidenceOutput
from redsm5.modules.start_end_candidates import best_spans
from redsm5.modules.start_end_loss import bounds_parts, inside_part

if TYPE_CHECKING:
    from redsm5.modules.evidence_head import StartEndFields

INSIDE_BIAS = -3.0
"""Log-odds of a token to be inside evidence before training: about one in twenty."""

MASKED = -1e9
"""Logit of positions that cannot be chosen: probability 0 in fp32, and still finite after sums of a few of them."""


@dataclass
class StartEndOutput(EvidenceOutput):
    """Start, end and inside logits per token; position 0 is the null option.

    Attributes:
        start: fp32 [W, L, K]. Positions that are neither context nor 0 hold a large negative number.
        end: fp32 [W, L, K], likewise.
        inside: fp32 [W, L, K], log-odds of a token to lie in evidence; None where the head has no such logits.
    """

    start: Tensor
    end: Tensor
    inside: Tensor | None = None


class StartEndModule(EvidenceModule[StartEndOutput]):
    """Start and end logits per token and output, with the null option at position 0, and inside logits.

    The head of BERT for SQuAD 2.0 (Devlin et al. 2019, section 4.3) with K outputs, beside a tagging of each token.

    Args:
        hidden_size: H.
        n_outputs: K.
        option: Dropout, inside logits and weights.
        hidden: Width of a layer before the logits; None for none.
    """

    def __init__(self, hidden_size: int, n_outputs: int, option: StartEndFields, *, hidden: int | None = None) -> None:
        super().__init__()
        self.dropout = nn.Dropout(option.dropout)
        self.option = option
        self.n_outputs = n_outputs
        self.weights = option.weights
        self.layer: nn.Module | None = None
        if hidden is not None:
            # As before the logits of BERT's masked words: a layer, GELU, layer norm.
            first, norm = nn.Linear(hidden_size, hidden), nn.LayerNorm(hidden)
            self.layer = nn.Sequential(first, nn.GELU(), norm, nn.Dropout(option.dropout))
        self.linear = nn.Linear(hidden or hidden_size, (3 if option.inside else 2) * n_outputs)
        nn.init.normal_(self.linear.weight, std=INIT_STD)
        nn.init.zeros_(self.linear.bias)
        if option.inside:
            # Few tokens are evidence: starting there spares the first steps (Lin et al. 2017, section 4.1).
            nn.init.constant_(self.linear.bias[2 * n_outputs :], INSIDE_BIAS)

    def forward(self, states: Tensor, batch: Batch) -> StartEndOutput:
        """Start and end logits fp32 [W, L, K], masked outside position 0 and the context; inside logits unmasked."""
        hidden = self.dropout(states)
        if self.layer is not None:
            hidden = self.layer(hidden)
        # fp32 before masking: MASKED does not exist in fp16.
        logits = self.linear(hidden).float()
        allowed = batch.context_mask.clone()
        allowed[:, 0] = True
        bounds, inside = logits[..., : 2 * self.n_outputs], logits[..., 2 * self.n_outputs :]
        start, end = bounds.masked_fill(~allowed.unsqueeze(-1), MASKED).chunk(2, dim=-1)
        return StartEndOutput(start=start, end=end, inside=inside if self.option.inside else None)

    def loss_parts(self, output: StartEndOutput, batch: Batch) -> dict[str, Part]:
        """Soft-target cross-entropy with null, unlikelihood of hard negatives, and a loss per token."""
        parts = bounds_parts(output.start, output.end, batch)
        if output.inside is not None:
            parts["inside"] = inside_part(output.inside, batch, self.option.inside_pos_weight)
        return parts

    def token_probabilities(self, output: StartEndOutput, batch: Batch) -> Tensor:
        """The inside probability; without inside logits P(start <= t) P(end >= t), the two taken as independent."""
        context = batch.context_mask.unsqueeze(-1)
        if output.inside is not None:
            return output.inside.sigmoid().masked_fill(~context, 0.0)
        start = output.start.softmax(dim=1).masked_fill(~context, 0.0)
        end = output.end.softmax(dim=1).masked_fill(~context, 0.0)
        begun, not_over = start.cumsum(dim=1), end.flip(1).cumsum(dim=1).flip(1)
        return (begun * not_over).clamp(max=1.0).masked_fill(~context, 0.0)

    @torch.no_grad()
    def candidates(
        self, output: StartEndOutput, batch: Batch, decoding: SpanDecoding, allowed: Tensor | None = None
    ) -> Candidates:
        """The best ``top_k`` starts times the best ``top_k`` ends of every window and output."""
        return best_spans(
            output.start,
            output.end,
            batch,
            top_k=self.option.top_k,
            max_characters=decoding.max_characters,
            inside=output.inside,
            inside_scale=self.option.inside_scale,
            allowed=allowed,
        )
