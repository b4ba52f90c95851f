"""What every evidence head can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

from torch import Tensor, nn

from redsm5.datamodules.batch import Batch
from redsm5.modules.decoding import Candidates, SpanDecoding
from redsm5.modules.evidence_losses import EvidenceLosses, Part, weighted_sum
from redsm5.modules.output import EvidenceOutput

Output = TypeVar("Output", bound=EvidenceOutput)


class EvidenceModule(nn.Module, ABC, Generic[Output]):
    """An evidence head: it scores tokens, knows its own loss and proposes spans.

    Attributes:
        weights: Weight of each part of the loss, by the names and in the order of ``loss_parts``.
    """

    weights: Mapping[str, float]

    @abstractmethod
    def forward(self, states: Tensor, batch: Batch) -> Output:
        """Scores of the tokens.

        Args:
            states: Token states [W, L, H] of the batch.
            batch: The batch.
        """

    @abstractmethod
    def loss_parts(self, output: Output, batch: Batch) -> dict[str, Part]:
        """The parts of the loss by name, unweighted; finite, zero where the batch gives nothing to learn."""

    def loss(self, output: Output, batch: Batch) -> EvidenceLosses:
        """The loss of an output of ``forward`` on its batch; finite, zero where the batch gives nothing to learn."""
        parts = self.loss_parts(output, batch)
        return EvidenceLosses(
            total=self.total({name: part.mean for name, part in parts.items()}),
            parts=parts,
            examples=weighted_sum({name: part.examples for name, part in parts.items()}, self.weights),
        )

    def total(self, means: Mapping[str, Tensor]) -> Tensor:
        """The loss from the means of its parts.

        Args:
            means: By the names of the parts, of one batch or of an epoch.
        """
        return weighted_sum(means, self.weights)

    @abstractmethod
    def token_probabilities(self, output: Output, batch: Batch) -> Tensor:
        """How likely each token lies in an evidence span, by the head alone, never by gold spans.

        Args:
            output: Of ``forward``.
            batch: The batch.

        Returns:
            fp32 [W, L, K] in [0, 1], 0 outside the context, with a gradient to the head.
        """

    @abstractmethod
    def candidates(
        self, output: Output, batch: Batch, decoding: SpanDecoding, allowed: Tensor | None = None
    ) -> Candidates:
        """Scored spans in characters, at least one per window and output wherever the window has a token for them.

        Args:
            output: Of ``forward``.
            batch: The batch.
            decoding: Limits.
            allowed: bool [W, L, K], tokens that a span of the output may hold; None for all of the context.
        """


def usable_tokens(batch: Batch, allowed: Tensor | None) -> Tensor:
    """Tokens that may bound a span: bool [W, 1, L], or [W, K, L] where outputs differ.

    Some tokenizers make tokens of no characters: they cannot bound a span.

    Args:
        batch: The batch.
        allowed: bool [W, L, K], tokens that a span may hold; None for all of the context.
    """
    usable = (batch.context_mask & (batch.offsets[..., 1] > batch.offsets[..., 0])).unsqueeze(1)
    return usable if allowed is None else usable & allowed.transpose(1, 2)


def candidates_of(
    batch: Batch, window: Tensor, output: Tensor, begin: Tensor, stop: Tensor, score: Tensor
) -> Candidates:
    """Columns of tensors as candidates.

    Args:
        batch: The batch.
        window: int64 [N].
        output: int64 [N].
        begin: [N], character offset.
        stop: [N], exclusive.
        score: [N].
    """
    return Candidates(
        example=batch.window_example[window].cpu().numpy(),
        output=output.cpu().numpy(),
        start=begin.long().cpu().numpy(),
        end=stop.long().cpu().numpy(),
        score=score.double().cpu().numpy(),
    )
