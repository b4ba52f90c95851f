"""Scores of the sentences of whole posts, and their loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from redsm5.datamodules.batch import Batch
from redsm5.modules.criteria_head_layers import INIT_STD
from redsm5.modules.evidence_losses import Part, averaged
from redsm5.modules.output import EvidenceOutput
from redsm5.modules.start_end import MASKED
from redsm5.modules.start_end_loss import covered, unlikelihood


@dataclass
class SentenceOutput(EvidenceOutput):
    """Logits of the sentences of each example, each sentence once, with null in front.

    S is the number of sentences of the example that has most; the others' rows are filled up.

    Attributes:
        logits: fp32 [E, 1 + S, K], null at 0; a large negative number where there is no such sentence.
        shown: int64 [E, S], the row of ``batch.sentences`` that shows most of each sentence, -1 for none.
    """

    logits: Tensor
    shown: Tensor


class SentenceScores(nn.Module):
    """One logit per sentence and output from the mean of its token states, one for null from the first special tokens.

    A sentence that several windows show is scored where most of it is to be seen; null of a post is the mean over its
    windows.

    Args:
        hidden_size: H.
        n_outputs: K.
        dropout: Rate of the dropout on the token states.
    """

    def __init__(self, hidden_size: int, n_outputs: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.sentence = nn.Linear(hidden_size, n_outputs)
        self.null = nn.Linear(hidden_size, n_outputs)
        for linear in (self.sentence, self.null):
            nn.init.normal_(linear.weight, std=INIT_STD)
            nn.init.zeros_(linear.bias)

    def forward(self, states: Tensor, batch: Batch) -> SentenceOutput:
        """Logits of all sentences of the examples of a batch."""
        rows = sentence_rows(batch)
        states = self.dropout(states).float()
        shown = fullest_rows(batch)
        example, slot = (shown >= 0).nonzero(as_tuple=True)
        window, _, first, last, _ = rows[shown[example, slot]].unbind(dim=1)
        sums = F.pad(states.cumsum(dim=1), (0, 0, 1, 0))
        means = (sums[window, last + 1] - sums[window, first]) / (last - first + 1).unsqueeze(1)
        first_tokens = states.new_zeros(batch.size, states.shape[-1]).index_add(0, batch.window_example, states[:, 0])
        n_windows = batch.window_example.bincount(minlength=batch.size)
        null = self.null(first_tokens / n_windows.unsqueeze(1)).float()
        logits = null.new_full((*shown.shape, null.shape[1]), MASKED)
        logits = logits.index_put((example, slot), self.sentence(means).float())
        return SentenceOutput(logits=torch.cat([null.unsqueeze(1), logits], dim=1), shown=shown)


def sentence_rows(batch: Batch) -> Tensor:
    """The sentences of a batch.

    Raises:
        RuntimeError: Nobody asked for them when the batch was made.
    """
    if batch.sentences is None:
        raise RuntimeError("the batch does not say where sentences are: call need_sentences() of the datamodule")
    return batch.sentences


def fullest_rows(batch: Batch) -> Tensor:
    """The row of ``batch.sentences`` with most tokens of each sentence, the first on a tie: int64 [E, S], -1 for none.

    Args:
        batch: The batch.
    """
    rows = sentence_rows(batch)
    number = torch.arange(len(rows), device=rows.device)
    most = int(rows[:, 1].max()) + 1 if len(rows) else 0
    # One number that orders by tokens, then by the row from the last to the first.
    order = (rows[:, 3] - rows[:, 2] + 1) * len(rows) + (len(rows) - 1 - number)
    place = batch.window_example[rows[:, 0]] * most + rows[:, 1]
    best = rows.new_full((batch.size * most,), -1).scatter_reduce(0, place, order, "amax")
    shown = len(rows) - 1 - best % max(len(rows), 1)
    return shown.where(best >= 0, -1).view(batch.size, most)


@dataclass
class SentenceTargets:
    """What is known of each sentence, bool [E, S, K] each.

    Attributes:
        gold: Evidence.
        open: Touched by evidence that covers less than half of it, or evidence of which it shows a part only: neither
            evidence nor none.
        denied: Ruled out by an expert.
    """

    gold: Tensor
    open: Tensor
    denied: Tensor


def sentence_targets(output: SentenceOutput, batch: Batch) -> SentenceTargets:
    """Gold and hard negative sentences of a batch.

    As in the metrics, a span selects a sentence of which it covers at least half, and the one in which it lies.

    Args:
        output: Of ``SentenceScores``.
        batch: The batch.
    """
    shape = torch.Size((*batch.context_mask.shape, batch.labels.shape[1]))
    rows = sentence_rows(batch)
    spans = torch.cat([batch.spans, batch.cut_spans])
    touched, selected = _touched(rows, spans, batch.spans, shape)
    denied = _touched(rows, batch.hard_negatives, batch.hard_negatives, shape)[1]
    whole = rows[:, 4:].bool()
    kinds = torch.stack([selected & whole, touched & ~(selected & whole), denied & ~touched])
    # The row of no sentence is one more, which is nothing.
    kinds = F.pad(kinds, (0, 0, 0, 1))[:, output.shown]
    return SentenceTargets(gold=kinds[0], open=kinds[1], denied=kinds[2])


def _touched(rows: Tensor, spans: Tensor, whole: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Which sentences [M, K] share a token with spans, and which do they select.

    Args:
        rows: int64 [M, 5], sentences.
        spans: int64 [S, 4].
        whole: int64 [N, 4], those that lie whole in their window.
        shape: [W, L, K].
    """
    window, _, first, last, _ = rows.unbind(dim=1)
    sums = F.pad(covered(spans, shape).int().cumsum(dim=1), (0, 0, 1, 0))
    count = sums[window, last + 1] - sums[window, first]
    selected = (count > 0) & (2 * count >= (last - first + 1).unsqueeze(1))
    holds = (window[:, None] == whole[:, 0]) & (first[:, None] <= whole[:, 2]) & (last[:, None] >= whole[:, 3])
    row, span = holds.nonzero(as_tuple=True)
    selected[row, whole[span, 1]] = True
    return count > 0, selected


def sentence_parts(output: SentenceOutput, batch: Batch) -> dict[str, Part]:
    """Cross-entropy over the sentences of a post with the uniform distribution over the gold ones, or null.

    Pairs with evidence that failed to align are left out. Sentences that are open leave the softmax; a pair with one of
    them and no gold sentence is no null.

    Args:
        output: Of ``SentenceScores``.
        batch: The batch.
    """
    targets = sentence_targets(output, batch)
    known = torch.ones_like(batch.labels, dtype=torch.bool)
    known[batch.window_example] = ~batch.unknown  # the same in all windows of an example
    logits = output.logits.masked_fill(F.pad(targets.open, (0, 0, 1, 0)), MASKED)
    has_gold = targets.gold.any(dim=1)
    wanted = torch.cat([~has_gold.unsqueeze(1), targets.gold], dim=1).to(logits.dtype)
    losses = -(wanted / wanted.sum(dim=1, keepdim=True) * logits.log_softmax(dim=1)).sum(dim=1)
    example = torch.arange(batch.size, device=logits.device)
    row_example, slot, k = targets.denied.nonzero(as_tuple=True)
    denied = unlikelihood(logits, torch.stack([row_example, k, slot + 1], dim=1), 2)
    pair_example = example.unsqueeze(1).expand_as(known)
    is_null = known & ~has_gold & ~targets.open.any(dim=1)
    return {
        "positives": averaged(losses, known & has_gold, pair_example, batch.size),
        "nulls": averaged(losses, is_null, pair_example, batch.size),
        "hard_negatives": averaged(denied, known[row_example, k], row_example, batch.size),
    }
