"""What every evidence head can do."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from redsm5.datamodules.batch import Batch
from redsm5.modules.decoding import Candidates, SpanDecoding
from redsm5.modules.evidence_loss import EvidenceLoss
from redsm5.modules.output import EvidenceLosses, EvidenceOutput


class EvidenceModule(nn.Module, ABC):
    """An evidence head: it scores tokens, knows its own loss and proposes spans."""

    @abstractmethod
    def forward(self, states: Tensor, batch: Batch) -> EvidenceOutput:
        """Scores of the tokens.

        Args:
            states: Token states [W, L, H] of the batch.
            batch: The batch.
        """

    @abstractmethod
    def loss(self, output: EvidenceOutput, batch: Batch, settings: EvidenceLoss) -> EvidenceLosses:
        """The loss of an output of ``forward`` on its batch; finite, zero where the batch gives nothing to learn."""

    @abstractmethod
    def token_probabilities(self, output: EvidenceOutput, batch: Batch) -> Tensor:
        """How likely each token lies in an evidence span, by the head alone, never by gold spans.

        Args:
            output: Of ``forward``.
            batch: The batch.

        Returns:
            fp32 [W, L, K] in [0, 1], 0 outside the context, with a gradient to the head.
        """

    @abstractmethod
    def candidates(self, output: EvidenceOutput, batch: Batch, decoding: SpanDecoding) -> Candidates:
        """Scored spans in characters, at least one per window and output wherever the window has context."""
