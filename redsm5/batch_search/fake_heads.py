"""What pooling, heads and losses take beside the encoder, counted on real tensors: their shapes depend on values."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from redsm5.batch_search.fake_batch import fake_batch
from redsm5.batch_search.fake_cuda import AsOnCuda
from redsm5.batch_search.live_bytes import LiveBytes
from redsm5.datamodules.batch import Batch
from redsm5.modules.encoder_build import built
from redsm5.modules.encoder_model import EncoderModel
from redsm5.modules.module import MultiTaskModule
from redsm5.peft.freezing import NoFreezing
from redsm5.peft.methods import NoPEFT

SIZES = (2, 4)
"""Windows of the two batches that are counted."""
POSITIVE_RATE = 0.2
"""Of every criterion: it weighs the loss, and takes the same memory whatever it is."""


@dataclass(frozen=True)
class States:
    """What the encoder hands over.

    Attributes:
        hidden: H.
        layers: Layers whose first token is pooled.
        dtype: Precision of the states.
        trained: Whether the encoder wants a gradient.
    """

    hidden: int
    layers: int
    dtype: torch.dtype
    trained: bool

    def random(self, windows: int, length: int) -> tuple[Tensor, Tensor]:
        """States [W, L, H] and first tokens [W, N, H]."""
        sizes = ((windows, length, self.hidden), (windows, self.layers, self.hidden))
        first, second = (torch.randn(size).to(self.dtype).requires_grad_(self.trained) for size in sizes)
        return first, second


@dataclass(frozen=True)
class Line:
    """Bytes as a function of the number of windows."""

    fixed: float
    slope: float

    @classmethod
    def through(cls, values: tuple[int, int]) -> Line:
        """The line through two counts, at ``SIZES``."""
        (low, high), (few, many) = SIZES, values
        slope = (many - few) / (high - low)
        return cls(few - slope * low, slope)

    def __call__(self, windows: int) -> int:
        """Bytes for so many windows."""
        return max(0, round(self.fixed + self.slope * windows))


@dataclass(frozen=True)
class HeadLines:
    """Bytes beside states and encoder, weights and optimizer states of heads left out.

    Attributes:
        forward: Peak of the forward pass to the loss.
        kept: What is left of it for the backward pass.
        backward: Peak of the backward pass, gradients of the states included.
        evaluation: Peak of the forward pass without gradients, and of the search for spans.
    """

    forward: Line
    kept: Line
    backward: Line
    evaluation: Line


def head_lines(
    model: MultiTaskModule,
    encoder: EncoderModel,
    states: States,
    *,
    n_outputs: int,
    length: int,
    half: torch.dtype | None,
) -> HeadLines:
    """Count the heads of a module.

    Args:
        model: The module; it is not changed.
        encoder: The encoder that was built of its option; it is not run.
        states: What it hands over.
        n_outputs: K.
        length: L.
        half: Precision of autocast; None without.
    """
    heads = _heads(model, encoder, n_outputs)
    counted = [_counted(heads, states, fake_batch(windows, length, n_outputs), half) for windows in SIZES]
    return HeadLines(*(Line.through(pair) for pair in zip(*counted, strict=True)))


def _heads(model: MultiTaskModule, encoder: EncoderModel, n_outputs: int) -> MultiTaskModule:
    """A copy of the module with a network whose encoder is there but never run."""
    heads = copy.deepcopy(model)
    option = built(model.encoder_option.id, encoder)
    heads.network = heads.make_network(option, n_outputs=n_outputs, peft=NoPEFT(), freezing=NoFreezing())
    heads.criteria_loss = model.criteria_loss_option.build((POSITIVE_RATE,) * n_outputs)
    return heads


def _counted(
    model: MultiTaskModule, states: States, batch: Batch, half: torch.dtype | None
) -> tuple[int, int, int, int]:
    """Bytes of forward, kept, backward, evaluation."""
    network = model.network
    assert network is not None
    given = states.random(*batch.input_ids.shape)
    network.encode = lambda _: given  # type: ignore[method-assign, assignment]
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    autocast = torch.autocast("cpu", half or torch.bfloat16, enabled=half is not None)
    live = LiveBytes()
    with AsOnCuda(), live:
        model.train()
        with autocast:
            loss = model.losses(batch).total
            forward = live.peak
        kept = live.restart()
        torch.autograd.backward(loss)
        backward = live.peak
        del loss
        for parameter in (*parameters, *given):
            parameter.grad = None
        before = live.restart()
        model.eval()
        with torch.no_grad(), autocast:
            output = model.losses(batch).output
            network.evidence_head.candidates(output.evidence, batch, model.decoding)
        evaluation = live.peak - before
    return forward, kept, backward, evaluation
