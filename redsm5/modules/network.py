"""Encoder, pooling, aggregation and heads as one nn.Module: a batch in, logits out."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from redsm5.catalog import facts, facts_of_config
from redsm5.datamodules.batch import Batch
from redsm5.modules.aggregation import Aggregation
from redsm5.modules.coupling import Coupling, Independent
from redsm5.modules.criteria_head import CriteriaHead
from redsm5.modules.encoder import Encoder
from redsm5.modules.evidence_head import EvidenceHead
from redsm5.modules.output import EvidenceOutput, ModelOutput
from redsm5.modules.pooling import Pooling, refuse_unfit
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
        coupling: What evidence tells the criteria head.

    Raises:
        UserError: Method or freezing do not fit the encoder, which is then not loaded, or it cannot be loaded, or the
            pooling does not fit it.
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
        coupling: Coupling = Independent(),  # noqa: B008
    ) -> None:
        super().__init__()
        if needs_facts(peft, freezing) and not encoder.random_weights:
            refuse_misfit(peft, freezing, facts(encoder.id, encoder.revision))
        self.encoder = encoder.build()
        attach(self.encoder, peft, freezing, id=encoder.id)
        if pooling.needs_facts:
            refuse_unfit(pooling, facts_of_config(encoder.id, self.encoder.config.to_dict()))
        hidden, read = self.encoder.hidden_size, coupling.width(self.encoder.hidden_size)
        self.layers_read = pooling.layers_read
        self.pooling = pooling.build(hidden)
        self.criteria_head = criteria_head.build(read, n_outputs)
        self.aggregation = aggregation.build(read, n_outputs)
        self.evidence_head = evidence_head.build(hidden, n_outputs)
        self.coupling = coupling.build(hidden, n_outputs)

    def forward(self, batch: Batch) -> ModelOutput:
        """Criteria logits [E, K] and the evidence head's output, both fp32."""
        states, first_tokens = self.encode(batch)
        vectors = self.pooling(states, batch.context_mask, first_tokens)
        if self.coupling is None:
            # Criteria first: the order of the heads decides the dropout masks that a seed draws.
            logits = self.aggregation(vectors, self.criteria_head, batch.window_example, batch.size)
        evidence = cast(EvidenceOutput, self.evidence_head(states, batch))
        if self.coupling is not None:
            probabilities = self.evidence_head.token_probabilities(evidence, batch)
            vectors = self.coupling(vectors, states, probabilities, batch.context_mask)
            logits = self.aggregation(vectors, self.criteria_head, batch.window_example, batch.size)
        return ModelOutput(criteria_logits=logits.float(), evidence=evidence)

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Token states [W, L, H], and of the first token those after each of the N layers that are pooled [W, N, H].

        In chunks of windows when no gradient is wanted.
        """
        windows, length = batch.input_ids.shape
        step = windows if torch.is_grad_enabled() else max(1, TOKENS_PER_FORWARD // length)
        types = batch.token_type_ids
        # In Longformer what stands before the post (the first special token, a criterion) attends to the whole window.
        leading = (batch.context_mask.cumsum(dim=1) == 0) & batch.attention_mask.bool()
        parts = []
        for i in range(0, windows, step):
            window = (
                batch.input_ids[i : i + step],
                batch.attention_mask[i : i + step],
                None if types is None else types[i : i + step],
                leading[i : i + step],
            )
            n = self.layers_read
            layers = (self.encoder(*window),) if n == 1 else self.encoder.last_layers(n, *window)
            parts.append((layers[-1], torch.stack([states[:, 0] for states in layers], dim=1)))
        states, first_tokens = (part[0] if len(part) == 1 else torch.cat(part) for part in zip(*parts, strict=True))
        return states, first_tokens
