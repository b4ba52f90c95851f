"""Encoders with sparse attention: Longformer's global tokens, BigBird's two attention types."""

from __future__ import annotations

import logging
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from redsm5.modules.encoder_model import EncoderModel


class LongformerEncoder(EncoderModel):
    """Longformer: a sliding window, and global attention from position 0 and the tokens of `global_mask`.

    Beltagy et al. 2020, https://arxiv.org/abs/2004.05150, give global attention to [CLS] in classification and to the
    question in question answering. The model itself pads to a multiple of its window.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        _hush("longformer")

    def _run(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None,
        global_mask: Tensor | None,
        **more: bool,
    ) -> Any:
        everywhere = torch.zeros_like(input_ids) if global_mask is None else global_mask.to(input_ids.dtype).clone()
        everywhere[:, 0] = 1
        global_attention = everywhere * attention_mask
        return self.model(
            input_ids=input_ids, attention_mask=attention_mask, global_attention_mask=global_attention, **more
        )


class BigBirdEncoder(EncoderModel):
    """BigBird: block-sparse attention, full attention for windows too short for it.

    transformers turns a model to full attention for good at the first short batch, so that results depend on the order
    of batches. Here the type follows from the length of each batch alone. As the type belongs to the modules, the
    backward pass of a checkpointed batch must come before the forward pass of one of the other type.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        config = self.config
        self.sparse = config.attention_type == "block_sparse"
        self.longest_full: int = (5 + 2 * config.num_random_blocks) * config.block_size
        _hush("big_bird")
        for layer in cast(Any, self.layers):
            _KeepNumpyState().register(layer.attention)

    def _run(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None,
        global_mask: Tensor | None,
        **more: bool,
    ) -> Any:
        if self.sparse:
            kind = "original_full" if input_ids.shape[1] <= self.longest_full else "block_sparse"
            # On meta: the new attention module takes over the projections of the old one, so its own, drawn from the
            # global generator, would only disturb a seeded run.
            with torch.device("meta"):
                cast(Any, self.model).set_attention_type(kind)
            if kind == "block_sparse" and input_ids.device.type == "cpu":
                # Its blocks come out in two precisions under CPU autocast, and transformers cannot join them.
                with torch.autocast("cpu", enabled=False):
                    return super()._run(input_ids, attention_mask, token_type_ids, global_mask, **more)
        return super()._run(input_ids, attention_mask, token_type_ids, global_mask, **more)


class _KeepNumpyState:
    """Hooks that undo ``np.random.seed(layer)``, called by block-sparse attention whenever it trains."""

    def register(self, module: nn.Module) -> None:
        module.register_forward_pre_hook(self.save)
        module.register_forward_hook(self.restore, always_call=True)

    def save(self, module: nn.Module, inputs: Any) -> None:
        self.state = np.random.get_state()

    def restore(self, module: nn.Module, inputs: Any, output: Any) -> None:
        np.random.set_state(self.state)


def _hush(name: str) -> None:
    """No warning that inputs are padded to the window or block: it is meant."""
    logging.getLogger(f"transformers.models.{name}.modeling_{name}").setLevel(logging.ERROR)
