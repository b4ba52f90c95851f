"""The evidence head that tags tokens with a linear-chain CRF, as a module."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from redsm5.datamodules.batch import Batch
from redsm5.modules.band_candidates import best_band_spans
from redsm5.modules.crf_chains import BEGIN, FORBIDDEN, INSIDE, N_TAGS, OUTSIDE, Chains
from redsm5.modules.criteria_head_layers import INIT_STD
from redsm5.modules.decoding import Candidates, SpanDecoding
from redsm5.modules.evidence_losses import Part, averaged
from redsm5.modules.evidence_module import EvidenceModule
from redsm5.modules.output import EvidenceOutput
from redsm5.modules.start_end_loss import covered, with_spans

if TYPE_CHECKING:
    from redsm5.modules.evidence_head import CRF

BEGIN_BIAS = -5.0
"""Log-odds of a token to begin evidence before training: about one in 150."""


@dataclass
class CRFOutput(EvidenceOutput):
    """One chain of tags per window and output, over the tokens of the context.

    Attributes:
        chains: W * K chains, the outputs of a window next to each other.
        begin: int64 [W], the token of each window that is step 0 of its chains.
    """

    chains: Chains
    begin: Tensor


class CRFModule(EvidenceModule[CRFOutput]):
    """Tags O, B and I per token and output, with transitions of each output's own; O never goes to I.

    Linear-chain conditional random fields on encoder states, as in Lample et al. 2016, all in fp32.

    Args:
        hidden_size: H.
        n_outputs: K.
        option: Its fields.
    """

    forbidden: Tensor

    def __init__(self, hidden_size: int, n_outputs: int, option: CRF) -> None:
        super().__init__()
        self.option = option
        self.n_outputs = n_outputs
        self.weights = option.weights
        self.dropout = nn.Dropout(option.dropout)
        self.linear = nn.Linear(hidden_size, n_outputs * N_TAGS)
        nn.init.normal_(self.linear.weight, std=INIT_STD)
        nn.init.zeros_(self.linear.bias)
        nn.init.constant_(self.linear.bias[BEGIN::N_TAGS], BEGIN_BIAS)
        self.transitions = nn.Parameter(torch.zeros(n_outputs, N_TAGS, N_TAGS))
        self.start = nn.Parameter(torch.zeros(n_outputs, N_TAGS))
        self.end = nn.Parameter(torch.zeros(n_outputs, N_TAGS))
        forbidden = torch.zeros(N_TAGS, N_TAGS, dtype=torch.bool)
        forbidden[OUTSIDE, INSIDE] = True
        self.register_buffer("forbidden", forbidden, persistent=False)

    def forward(self, states: Tensor, batch: Batch) -> CRFOutput:
        """Chains over the tokens of the context; a window without any has chains without steps."""
        emissions = self.linear(self.dropout(states)).float()
        windows, length, _ = emissions.shape
        begin = batch.context_mask.int().argmax(dim=1)
        steps = batch.context_mask.sum(dim=1)
        step = torch.arange(length, device=begin.device)
        # All chains begin at step 0: what stands before the post differs in length between windows.
        token = (begin.unsqueeze(1) + step).clamp(max=length - 1)
        emissions = emissions.gather(1, token.unsqueeze(-1).expand_as(emissions))
        emissions = emissions.view(windows, length, self.n_outputs, N_TAGS).transpose(1, 2).flatten(0, 1)
        mask = (step < steps.unsqueeze(1)).repeat_interleave(self.n_outputs, dim=0)
        first = self.start.masked_fill(self.forbidden[OUTSIDE], FORBIDDEN)
        between = self.transitions.masked_fill(self.forbidden, FORBIDDEN)
        chains = Chains(
            emissions=emissions,
            mask=mask,
            transitions=between.float().repeat(windows, 1, 1),
            start=first.float().repeat(windows, 1),
            end=self.end.float().repeat(windows, 1),
        )
        return CRFOutput(chains=chains, begin=begin)

    def loss_parts(self, output: CRFOutput, batch: Batch) -> dict[str, Part]:
        """Negative log-likelihood of the gold tags; of hard negatives, that all of the sentence is O."""
        known, has_evidence = batch.evidence_mask, with_spans(batch)
        losses = -output.chains.log_likelihood(self._gold_tags(output, batch)).view_as(known)
        hard = batch.hard_negatives
        window, k, first, last = hard.unbind(dim=1)
        chain, begin = window * self.n_outputs + k, output.begin[window]
        denied = known.new_zeros(0, dtype=losses.dtype)
        if len(hard):  # else the backward sums are not needed
            denied = -output.chains.log_outside(first - begin, last - begin, chain)
        example = batch.window_example.unsqueeze(-1).expand_as(known)
        return {
            "positives": averaged(losses, known & has_evidence, example, batch.size),
            "nulls": averaged(losses, known & ~has_evidence, example, batch.size),
            "hard_negatives": averaged(denied, known[window, k], batch.window_example[window], batch.size),
        }

    def token_probabilities(self, output: CRFOutput, batch: Batch) -> Tensor:
        """The marginal probability of B or I."""
        marginals = output.chains.log_marginals()[..., BEGIN:].exp().sum(dim=-1).clamp(max=1.0)
        held = self._on_tokens(marginals, output).transpose(1, 2)
        return held.masked_fill(~batch.context_mask.unsqueeze(-1), 0.0)

    def candidates(
        self, output: CRFOutput, batch: Batch, decoding: SpanDecoding, allowed: Tensor | None = None
    ) -> Candidates:
        """The best ``top_k`` spans of every window and output by their log-odds against O on the same tokens."""
        # Not without gradients: the sums over the chains are kept, and a loss may follow.
        begin, end, single = (self._on_tokens(values.detach(), output) for values in output.chains.span_odds())
        width = min(self.option.max_tokens, begin.shape[-1])
        scores = begin.unsqueeze(-1) + F.pad(end, (0, width - 1)).unfold(-1, width, 1)
        scores[..., 0] = single
        return best_band_spans(
            scores, batch, top_k=self.option.top_k, max_characters=decoding.max_characters, allowed=allowed
        )

    def _gold_tags(self, output: CRFOutput, batch: Batch) -> Tensor:
        """Tags of the evidence that lies whole in its window: int64 [W * K, L], step by step."""
        rows = batch.spans.clone()
        rows[:, 2:] -= output.begin[rows[:, 0]].unsqueeze(1)
        shape = torch.Size((len(output.begin), output.chains.mask.shape[1], self.n_outputs))
        tags = covered(rows, shape).long() * INSIDE
        tags[rows[:, 0], rows[:, 2], rows[:, 1]] = BEGIN
        return tags.transpose(1, 2).flatten(0, 1)

    def _on_tokens(self, values: Tensor, output: CRFOutput) -> Tensor:
        """From steps [W * K, L] to the tokens of the windows [W, K, L]; meaningless outside the context."""
        length = values.shape[1]
        step = torch.arange(length, device=values.device) - output.begin.unsqueeze(1)
        index = step.clamp(min=0).repeat_interleave(self.n_outputs, dim=0)
        return values.gather(1, index).view(len(step), self.n_outputs, length)
