"""What heads and losses keep per window, counted on real tensors: their shapes depend on values, which fakes lack."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig

from redsm5.batch_search.fake_batch import full_batch
from redsm5.batch_search.live_bytes import CudaAutocast, LiveBytes
from redsm5.datamodules.batch import Batch
from redsm5.modules.encoder_build import BuiltEncoder
from redsm5.modules.module import MultiTaskModule
from redsm5.peft.freezing import NoFreezing
from redsm5.peft.methods import NoPEFT

FEW, MORE = 2, 4
"""Windows of the two batches that are counted: the line through them holds for all."""


@dataclass(frozen=True)
class HeadBytes:
    """Peak bytes of heads and losses beside the token states: ``fixed + each * windows``."""

    fixed: float
    each: float

    def of(self, windows: int) -> int:
        """For so many windows."""
        return round(self.fixed + self.each * windows)


class _NoEncoder(nn.Module):
    """Stands where the encoder would; its states are given."""

    def __init__(self, hidden_size: int, config: PreTrainedConfig) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.config = config


def head_bytes(
    model: MultiTaskModule, config: PreTrainedConfig, *, hidden: int, n_outputs: int, length: int, half: bool,
    training: bool, dtype: torch.dtype,
) -> HeadBytes:  # fmt: skip
    """Count heads and losses of a module.

    Args:
        model: The module; its network is not touched.
        config: Of the encoder.
        hidden: H.
        n_outputs: K.
        length: L.
        half: Whether autocast is on.
        training: Forward and backward pass, or the forward pass of evaluation.
        dtype: Of the token states.
    """
    encoder = BuiltEncoder(id="none", model=_NoEncoder(hidden, config))
    network = model.make_network(encoder, n_outputs=n_outputs, peft=NoPEFT(), freezing=NoFreezing())
    before = model.network, getattr(model, "criteria_loss", None), model.training
    model.network = network.train(training)
    model.criteria_loss = model.criteria_loss_option.build((0.1,) * (9 if n_outputs == 1 else n_outputs))
    try:
        few, more = (
            _count(model, full_batch(windows, length, n_outputs, pairs=n_outputs == 1), states, half=half)
            for windows in (FEW, MORE)
            for states in [torch.randn(windows, length, hidden, dtype=dtype, requires_grad=training)]
        )
    finally:
        model.network, criteria_loss, was_training = before
        if criteria_loss is not None:
            model.criteria_loss = criteria_loss
        model.train(was_training)
    each = (more - few) / (MORE - FEW)
    return HeadBytes(few - each * FEW, each)


def _count(model: MultiTaskModule, batch: Batch, states: Tensor, *, half: bool) -> int:
    network = model.network
    assert network is not None
    first = states[:, :1].expand(-1, network.layers_read, -1)
    network.encode = lambda _: (states, first)  # type: ignore[method-assign, assignment]
    live = LiveBytes()
    with live, torch.set_grad_enabled(states.requires_grad):
        with CudaAutocast(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            losses = model.losses(batch)
        if states.requires_grad:
            torch.autograd.backward(losses.total)
    return live.peak
