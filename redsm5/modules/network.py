"""Encoder, pooling, aggregation and heads as one nn.Module: a batch in, logits out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from redsm5.catalog import facts
from redsm5.datamodules.batch import Batch
from redsm5.modules.aggregation import Aggregation
from redsm5.modules.criteria_head import CriteriaHead
from redsm5.modules.encoder import Encoder
from redsm5.modules.evidence_head import EvidenceHead
from redsm5.modules.output import EvidenceOutput, ModelOutput
from redsm5.modules.pooling import Pooling
from redsm5.peft.attach import attach
from redsm5.peft.checks import needs_facts, refuse_misfit
from redsm5.peft.freezing import Freezing, NoFreezing
from redsm5.peft.options import PEFT, NoPEFT

TOKENS_PER_FORWARD = 16_384
"""Without gradients, windows pass in chunks of at most this many padded tokens, so that a post of any length fits."""


class Network(nn.Module):
    """The whole model without losses.

    Args:
        encoder: Encoder option.
        pooling: From token states to one vector per window.
        aggregation: From window vectors to one logit per example and output.
        criteria_head: Head on the vectors.
        evidence_head: Head on the token states.
        n_outputs: K, outputs per example (number of criteria in ``multi_label``, 1 in ``binary_pairs``).
        peft: What is trained of the encoder.
        freezing: Which of its own weights stay as they are.

    Raises:
        UserError: Method or freezing do not fit the encoder, which is then not loaded, or it cannot be loaded.
    """

    def __init__(
        self,
        *,
        encoder: Encoder,
        pooling: Pooling,
        aggregation: Aggregation,
        criteria_head: CriteriaHead,
        evidence_head: EvidenceHead,
        n_outputs: int,
        peft: PEFT = NoPEFT(),  # noqa: B008 - frozen dataclasses: sharing one default instance is safe
        freezing: Freezing = NoFreezing(),  # noqa: B008
    ) -> None:
        super().__init__()
        if needs_facts(peft, freezing) and not encoder.random_weights:
            refuse_misfit(peft, freezing, facts(encoder.id, encoder.revision))
        self.encoder = encoder.build()
        attach(self.encoder, peft, freezing, id=encoder.id)
        hidden = self.encoder.hidden_size
        self.pooling = pooling.build(hidden)
        self.criteria_head = criteria_head.build(hidden, n_outputs)
        self.aggregation = aggregation.build(hidden, n_outputs)
        self.evidence_head = evidence_head.build(hidden, n_outputs)

    def forward(self, batch: Batch) -> ModelOutput:
        """Criteria logits [E, K] and the evidence head's output, both fp32."""
        states = self.encode(batch)
        vectors = self.pooling(states, batch.attention_mask, batch.context_mask)
        logits = self.aggregation(vectors, self.criteria_head, batch.window_example, batch.size)
        evidence = cast(EvidenceOutput, self.evidence_head(states, batch))
        return ModelOutput(criteria_logits=logits.float(), evidence=evidence)

    def encode(self, batch: Batch) -> Tensor:
        """Token states [W, L, H]; in chunks of windows when no gradient is wanted."""
        windows, length = batch.input_ids.shape
        step = windows if torch.is_grad_enabled() else max(1, TOKENS_PER_FORWARD // length)
        types = batch.token_type_ids
        # In Longformer what stands before the post (the first special token, a criterion) attends to the whole window.
        leading = (batch.context_mask.cumsum(dim=1) == 0) & batch.attention_mask.bool()
        parts = [
            self.encoder(
                batch.input_ids[i : i + step],
                batch.attention_mask[i : i + step],
                None if types is None else types[i : i + step],
                leading[i : i + step],
            )
            for i in range(0, windows, step)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)
