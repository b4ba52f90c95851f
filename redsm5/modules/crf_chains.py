"""Linear chains over the tags O, B and I: forward and backward sums, in log space and fp32.

The algorithms are those of Lafferty, McCallum and Pereira 2001 and of Rabiner 1989 (section III).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

OUTSIDE, BEGIN, INSIDE = 0, 1, 2
N_TAGS = 3

FORBIDDEN = -1e9
"""Potential of what cannot be: probability 0 in fp32, and still finite after sums of many."""


@dataclass
class Chains:
    """Chains of up to T steps that begin at step 0; shorter ones are padded at their end.

    Sums of every step are computed once, when they are asked for. Steps of padding change nothing: their transition is
    the identity of log space, so that the last sums of a chain are those of its last step.

    Attributes:
        emissions: fp32 [N, T, 3].
        mask: bool [N, T], the steps of each chain; none at all is a chain of probability 1 without tags.
        transitions: fp32 [N, 3, 3], from tag (rows) to tag.
        start: fp32 [N, 3], potentials of the first tag.
        end: fp32 [N, 3], of the last.
    """

    emissions: Tensor
    mask: Tensor
    transitions: Tensor
    start: Tensor
    end: Tensor

    @property
    def alphas(self) -> Tensor:
        """Log of the sum over all tags before a step, the step's own emission included: [N, T, 3]."""
        return self._sums[0]

    @property
    def betas(self) -> Tensor:
        """Log of the sum over all tags behind a step, the step's own emission left out: [N, T, 3]."""
        return self._sums[1]

    @cached_property
    def _sums(self) -> tuple[Tensor, Tensor]:
        """Forward and backward sums in one loop: the backward ones are the forward ones of the reversed chains.

        Each of the T - 1 rounds costs its launches, not its arithmetic, so that two at once take little more than one.
        """
        pairs = torch.cat([self._pairs, self._pairs.flip(1).transpose(2, 3)])
        sums = [torch.cat([self.start + self.emissions[:, 0], self.end])]
        for pair in pairs.unbind(dim=1):
            sums.append((sums[-1].unsqueeze(2) + pair).logsumexp(dim=1))
        alphas, betas = torch.stack(sums, dim=1).chunk(2)
        return alphas, betas.flip(1)

    @cached_property
    def log_partition(self) -> Tensor:
        """Log of the sum over all tag sequences, [N]; of a chain without steps 0."""
        log_z = (self.alphas[:, -1] + self.end).logsumexp(dim=1)
        return log_z.where(self.mask[:, 0], 0.0)

    def log_marginals(self) -> Tensor:
        """Log-probability of each tag at each step, [N, T, 3]; meaningless in the padding."""
        return (self.alphas + self.betas).log_softmax(dim=2)

    def log_likelihood(self, tags: Tensor) -> Tensor:
        """Log-probability of tag sequences, [N].

        Args:
            tags: int64 [N, T]; what it holds in the padding does not matter.
        """
        steps = self.mask.to(self.emissions.dtype)
        emitted = self.emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
        rows = torch.arange(len(tags), device=tags.device).unsqueeze(1)
        moved = self.transitions[rows, tags[:, :-1], tags[:, 1:]]
        last = tags.gather(1, (self.mask.sum(dim=1, keepdim=True) - 1).clamp(min=0))
        ends = self.start.gather(1, tags[:, :1]) + self.end.gather(1, last)
        score = (emitted * steps).sum(dim=1) + (moved * steps[:, 1:]).sum(dim=1) + ends.squeeze(1)
        return score.where(self.mask[:, 0], 0.0) - self.log_partition

    @cached_property
    def _pairs(self) -> Tensor:
        """Transition into each step but the first, with its emission: [N, T - 1, 3, 3]."""
        pairs = self.transitions.unsqueeze(1) + self.emissions[:, 1:].unsqueeze(2)
        identity = pairs.new_full((N_TAGS, N_TAGS), FORBIDDEN).fill_diagonal_(0.0)
        return pairs.where(self.mask[:, 1:, None, None], identity)

    def log_outside(self, first: Tensor, last: Tensor, chain: Tensor) -> Tensor:
        """Log-probability that all tags of some steps are O, [R].

        Args:
            first: int64 [R], first step.
            last: int64 [R], last step, inclusive.
            chain: int64 [R], which chain.
        """
        path = self.path_sums(OUTSIDE)
        between = path[chain, last] - path[chain, first]
        ends = self.alphas[chain, first, OUTSIDE] + self.betas[chain, last, OUTSIDE]
        return ends + between - self.log_partition[chain]

    def path_sums(self, tag: int) -> Tensor:
        """Potential of staying in one tag from step 0, itself left out, to each step: [N, T]."""
        moved = self.emissions[:, 1:, tag] + self.transitions[:, tag, tag].unsqueeze(1)
        return F.pad(moved.where(self.mask[:, 1:], 0.0).cumsum(dim=1), (1, 0))

    def span_odds(self) -> tuple[Tensor, Tensor, Tensor]:
        """Log-odds of spans against O on their tokens: of i to j ``begin[i] + end[j]`` for i < j, else ``single[i]``.

        The odds are ``p(B at i, I to j, no I behind) / p(O from i to j)``, both summed over all tags elsewhere
        (constrained forward-backward, Culotta and McCallum 2004).

        Returns:
            ``begin``, ``end`` and ``single``, each [N, T]; meaningless in the padding.
        """
        entered = self.alphas[..., BEGIN] - self.alphas[..., OUTSIDE]
        # What may follow the last token of a span: O, or the B of another; at the end of the chain nothing.
        following = self.emissions[:, 1:, :INSIDE] + self.betas[:, 1:, :INSIDE]
        closed = (self.transitions[:, None, 1:, :INSIDE] + following.unsqueeze(2)).logsumexp(dim=3)
        closed = closed.where(self.mask[:, 1:, None], self.end[:, None, 1:])
        closed = torch.cat([closed, self.end[:, None, 1:]], dim=1) - self.betas[..., :1]
        gained = self.path_sums(INSIDE) - self.path_sums(OUTSIDE)
        second = (self.transitions[:, BEGIN, INSIDE] - self.transitions[:, INSIDE, INSIDE]).unsqueeze(1)
        return entered - gained + second, gained + closed[..., 1], entered + closed[..., 0]
