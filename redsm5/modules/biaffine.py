"""The biaffine evidence head as a module."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from redsm5.datamodules.batch import Batch
from redsm5.modules.band import band_product, end_sums, in_band
from redsm5.modules.band_candidates import best_band_spans
from redsm5.modules.criteria_head_layers import INIT_STD
from redsm5.modules.decoding import Candidates, SpanDecoding
from redsm5.modules.evidence_losses import Part, averaged
from redsm5.modules.evidence_module import EvidenceModule
from redsm5.modules.output import EvidenceOutput
from redsm5.modules.start_end import MASKED

if TYPE_CHECKING:
    from redsm5.modules.evidence_head import Biaffine

TYPICAL_TOKENS = 128
"""Null begins as likely as all spans together of a window of about this many tokens."""


@dataclass
class BiaffineOutput(EvidenceOutput):
    """Scores of spans of bounded length, and of null.

    Attributes:
        spans: fp32 [W, K, L, width], logit of the tokens i to i + t; a large negative number where that is no span.
        null: fp32 [W, K].
    """

    spans: Tensor
    null: Tensor

    def log_probabilities(self) -> Tensor:
        """Of null (at 0) and of every span: [W, K, 1 + L * width]."""
        return torch.cat([self.null.unsqueeze(-1), self.spans.flatten(2)], dim=-1).log_softmax(dim=-1)


class BiaffineModule(EvidenceModule[BiaffineOutput]):
    """A score for every span of at most ``max_tokens`` tokens, and one softmax over them and null.

    ``s_i U_k e_j + u_k s_i + v_k e_j + b_k`` with projections s and e of the token states (Dozat and Manning 2017,
    section 2.2, over spans as in Yu et al. 2020).

    Args:
        hidden_size: H.
        n_outputs: K.
        option: Its fields.
    """

    def __init__(self, hidden_size: int, n_outputs: int, option: Biaffine) -> None:
        super().__init__()
        self.option = option
        self.weights = option.weights
        self.dropout = nn.Dropout(option.dropout)
        self.starts = nn.Sequential(nn.Linear(hidden_size, option.hidden), nn.GELU())
        self.ends = nn.Sequential(nn.Linear(hidden_size, option.hidden), nn.GELU())
        # The constant 1 beside each projection makes the linear terms rows and columns of one matrix.
        size = option.hidden + 1
        self.bilinear = nn.Linear(size, n_outputs * size, bias=False)
        self.null = nn.Linear(hidden_size, n_outputs)
        for linear in (self.bilinear, self.null):
            nn.init.normal_(linear.weight, std=INIT_STD)
        nn.init.constant_(self.null.bias, math.log(TYPICAL_TOKENS * min(option.max_tokens, TYPICAL_TOKENS)))

    def forward(self, states: Tensor, batch: Batch) -> BiaffineOutput:
        """Scores of all spans whose tokens are context, and of null."""
        states = self.dropout(states)
        width = min(self.option.max_tokens, states.shape[1])
        starts, ends = _with_one(self.starts(states)), _with_one(self.ends(states))
        left = self.bilinear(starts).view(*starts.shape[:2], -1, starts.shape[-1])
        scores = band_product(left, ends.to(left.dtype), width).float().transpose(1, 2)
        # The context is one stretch of tokens: what begins and ends in it lies in it.
        spans = scores.masked_fill(~in_band(batch.context_mask, width).unsqueeze(1), MASKED)
        return BiaffineOutput(spans=spans, null=self.null(states[:, 0]).float())

    def loss_parts(self, output: BiaffineOutput, batch: Batch) -> dict[str, Part]:
        """Cross-entropy over spans with the uniform distribution over the gold ones, null where there are none.

        A pair with evidence of more than ``max_tokens`` tokens is left out, as one with evidence that is cut: it has no
        place in the band, and yet is not null.
        """
        width = output.spans.shape[-1]
        log_p = output.log_probabilities()
        window, k, first, last = batch.spans.unbind(dim=1)
        known, long = batch.evidence_mask.clone(), last - first >= width
        known[window[long], k[long]] = False
        has_evidence = torch.zeros_like(known)
        has_evidence[window, k] = True

        rows = batch.spans[~long]
        window, k = rows[:, 0], rows[:, 1]
        gold = log_p[window, k, _place(rows, width)]
        pair = window * known.shape[1] + k
        zeros = log_p.new_zeros(known.numel())
        count = zeros.index_add(0, pair, torch.ones_like(gold)).clamp(min=1)
        of_gold = (-zeros.index_add(0, pair, gold) / count).view_as(known)
        losses = of_gold.where(has_evidence, -log_p[..., 0])

        hard = batch.hard_negatives
        fits = hard[:, 3] - hard[:, 2] < width
        hard = hard[fits]
        # Exact and with a gradient where p is 1: see start_end_loss.unlikelihood.
        others = log_p[hard[:, 0], hard[:, 1]].scatter(1, _place(hard, width).unsqueeze(1), -torch.inf)
        denied = -others.logsumexp(dim=1)

        example = batch.window_example.unsqueeze(-1).expand_as(known)
        return {
            "positives": averaged(losses, known & has_evidence, example, batch.size),
            "nulls": averaged(losses, known & ~has_evidence, example, batch.size),
            "hard_negatives": averaged(
                denied, known[hard[:, 0], hard[:, 1]], batch.window_example[hard[:, 0]], batch.size
            ),
        }

    def token_probabilities(self, output: BiaffineOutput, batch: Batch) -> Tensor:
        """The probability of all spans that hold the token: of those begun, less those that are over before it."""
        spans = output.log_probabilities()[..., 1:].exp().view_as(output.spans)
        begun, over = spans.sum(dim=-1).cumsum(dim=-1), end_sums(spans).cumsum(dim=-1)
        held = begun - torch.nn.functional.pad(over[..., :-1], (1, 0))
        return held.clamp(0.0, 1.0).transpose(1, 2).masked_fill(~batch.context_mask.unsqueeze(-1), 0.0)

    @torch.no_grad()
    def candidates(
        self, output: BiaffineOutput, batch: Batch, decoding: SpanDecoding, allowed: Tensor | None = None
    ) -> Candidates:
        """The best ``top_k`` spans of every window and output; the score is the logit's margin over that of null."""
        return best_band_spans(
            output.spans - output.null[..., None, None],
            batch,
            top_k=self.option.top_k,
            max_characters=decoding.max_characters,
            allowed=allowed,
        )


def _with_one(vectors: Tensor) -> Tensor:
    return torch.nn.functional.pad(vectors, (0, 1), value=1.0)


def _place(rows: Tensor, width: int) -> Tensor:
    """Index of spans [N, 4] among null and all spans of their window."""
    return 1 + rows[:, 2] * width + rows[:, 3] - rows[:, 2]
