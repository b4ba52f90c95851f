"""The batch: the one contract between datamodules and modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass
class Batch:
    """Whole examples with all their windows, padded to the longest window of the batch.

    W windows, L tokens, E examples, K outputs per example (K = number of criteria in ``multi_label``, 1 in
    ``binary_pairs``).
    An example is a post (``multi_label``) or a (post, criterion) pair (``binary_pairs``).

    Attributes:
        input_ids: int64 [W, L].
        attention_mask: int64 [W, L], 1 for tokens, 0 for padding.
        token_type_ids: int64 [W, L], or None where the encoder has a single type.
        context_mask: bool [W, L], True for tokens of the post itself: spans start and end only there. Position 0 is the
            encoder's first special token, never context: it stands for the null option.
        offsets: int32 [W, L, 2], character offsets into the original text, end exclusive; (0, 0) outside the context.
        window_example: int64 [W], the example of each window, ascending.
        labels: float32 [E, K].
        evidence_mask: bool [W, K], False where the evidence of that window and output is unknown or incomplete (failed
            to align, or cut by the window): where spans start and end is then not to be learned.
        unknown: bool [W, K], True where some evidence failed to align: no token of such a pair is known.
        spans: int64 [S, 4], rows (window, output, first token, last token *inclusive*) of evidence that lies whole in
            its window.
        cut_spans: int64 [C, 4], likewise what a window shows of evidence that it cuts: inside evidence for sure,
            though its start or end is not to be seen.
        hard_negatives: int64 [N, 4], likewise for sentences with status 0.
        criterion: int64 [E], the criterion of a pair, or -1 in ``multi_label``.
        post_index: int64 [E], index into the posts of the corpus.
        sentences: int64 [M, 5], rows (window, sentence, first token, last token inclusive, 1 if it lies whole in the
            window) of what each window shows of which sentence, sentences counted from 0 in each example; None where
            they were not asked for.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None
    context_mask: Tensor
    offsets: Tensor
    window_example: Tensor
    labels: Tensor
    evidence_mask: Tensor
    unknown: Tensor
    spans: Tensor
    cut_spans: Tensor
    hard_negatives: Tensor
    criterion: Tensor
    post_index: Tensor
    sentences: Tensor | None = None

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same batch on another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; the DataLoader calls it."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: None if value is None else change(value) for name, value in values.items()}
        return Batch(**changed)

    @property
    def size(self) -> int:
        """Number of examples."""
        return int(self.labels.shape[0])
