"""Masks a batch: which tokens are to be predicted, and what stands in their place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from redsm5.errors import UserError
from redsm5.pretraining.masking import BoolArray, covered_by, mask_spans, mask_words
from redsm5.pretraining.options import MaskingStyle

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
"""Label of a token that is not to be predicted."""
MASKED, RANDOM = 0.8, 0.1
"""Shares of the chosen tokens that become the mask token, or another one; the others stay (Devlin et al. 2019)."""


class Masker:
    """Dynamic masking: the same batch is masked anew for every seed, and alike for the same one.

    Single tokens are chosen by transformers' collator, which also puts the 80/10/10 in place for them and for words.
    Its whole words are not used: it finds them by gaps between offsets, which DeBERTa's and BigBird's tokens do not
    have, and masks all of them with the mask token. Of a span, all tokens are masked, all are replaced, or all stay
    (Joshi et al. 2020).

    Args:
        tokenizer: Of the encoder.
        style: What is masked together.
        probability: Share of the tokens that are to be predicted.

    Raises:
        UserError: The tokenizer has no mask token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, style: MaskingStyle, probability: float) -> None:
        from transformers import DataCollatorForLanguageModeling

        if tokenizer.mask_token_id is None:
            name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
            raise UserError(
                f"the tokenizer of {name} has no mask token, so that nothing can be masked in its texts; choose an "
                "encoder that has one, or leave pretraining out"
            )
        self.tokenizer = tokenizer
        self.style = style
        self.probability = probability
        self._collator: Any = DataCollatorForLanguageModeling(
            tokenizer, mlm_probability=probability, mask_replace_prob=MASKED, random_replace_prob=RANDOM
        )

    def __call__(
        self, input_ids: Tensor, maskable: BoolArray, starts: BoolArray, seed: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Mask a batch.

        Args:
            input_ids: int64 [W, L].
            maskable: [W, L], which tokens may be masked.
            starts: [W, L], which tokens begin a word.
            seed: What decides the draws.

        Returns:
            Tokens with the masks, and labels, both int64 [W, L]; a label is ``IGNORED`` where nothing is to be
            predicted.
        """
        rng = np.random.default_rng(list(seed))
        if self.style == "token":
            return self._replaced(input_ids, maskable, self.probability, rng)
        rows = list(zip(maskable, starts, strict=True))
        if self.style == "whole_word":
            chosen = np.stack([mask_words(able, begins, self.probability, rng) for able, begins in rows])
            return self._replaced(input_ids, chosen, 1.0, rng)
        return self._spans(input_ids, rows, rng)

    def _replaced(
        self, input_ids: Tensor, maskable: BoolArray, probability: float, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        self._collator.generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        self._collator.mlm_probability = probability
        masked, labels = self._collator.torch_mask_tokens(input_ids.clone(), torch.from_numpy(~maskable))
        return masked, labels

    def _spans(
        self, input_ids: Tensor, rows: list[tuple[BoolArray, BoolArray]], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        masked, labels = input_ids.clone(), torch.full_like(input_ids, IGNORED)
        for i, (maskable, starts) in enumerate(rows):
            spans = mask_spans(maskable, starts, self.probability, rng)
            chosen = torch.from_numpy(covered_by(spans, len(maskable)))
            labels[i, chosen] = input_ids[i, chosen]
            for (first, end), draw in zip(spans, rng.random(len(spans)), strict=True):
                if draw < MASKED:
                    masked[i, first:end] = self.tokenizer.mask_token_id
                elif draw < MASKED + RANDOM:
                    masked[i, first:end] = torch.from_numpy(rng.integers(len(self.tokenizer), size=end - first))
        return masked, labels
