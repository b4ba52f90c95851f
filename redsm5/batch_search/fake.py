"""The peak memory of a training on a GPU, counted on a machine without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from redsm5.batch_search.fake_batch import fake_batch
from redsm5.batch_search.fake_cuda import AsOnCuda, as_on_cuda
from redsm5.batch_search.fake_heads import HeadLines, States, head_lines
from redsm5.batch_search.fake_tensors import FakeTensors, forget_values
from redsm5.batch_search.live_bytes import LiveBytes
from redsm5.batch_search.peaks import Peaks
from redsm5.modules.module import MultiTaskModule
from redsm5.modules.network import TOKENS_PER_FORWARD, Network
from redsm5.optim.groups import parameter_groups

_HALF = {"none": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class FakeProbe:
    """Counts the bytes of tensors that a training on a GPU would have alive.

    Encoder and optimizer run on fake tensors, pooling, heads and losses on few real windows, from which a line is
    drawn: their shapes depend on values. What is counted are tensors in blocks of the CUDA caching allocator. The
    context of CUDA, the workspaces of its libraries and fragments between the blocks come on top.

    Gradients of the step before are alive while a batch passes forward: Lightning clears them before the backward pass.

    Args:
        model: The module, whose network is not built; it is not changed.
        n_outputs: K, outputs per example.
        max_length: L, tokens of a window.
        precision: As in the option of that name.
        accumulates: Whether gradients of a batch are there while the next one passes backward.
    """

    def __init__(
        self,
        model: MultiTaskModule,
        *,
        n_outputs: int,
        max_length: int,
        precision: Literal["none", "bf16", "fp16"],
        accumulates: bool,
    ) -> None:
        self._model = model
        self._n_outputs = n_outputs
        self._length = max_length
        self._half = _HALF[precision]
        self._accumulates = accumulates
        self._fakes = FakeTensors()
        self._live = LiveBytes()
        self._network = self._build()
        with self._counting():
            forget_values(self._network)
            self._trained = [p for p in self._network.parameters() if p.requires_grad]
            self._give_gradients()
            self._optimizer, self._step = self._optimize()
            states = self._look()
            self._resting = self._live.now
        self._chunks: dict[int, _Chunk] = {}
        self._heads: HeadLines = head_lines(
            model, self._network.encoder, states, n_outputs=n_outputs, length=max_length, half=self._half
        )

    def __call__(self, windows: int, eval_windows: int) -> Peaks:
        """The peaks of a training batch and of an evaluation batch.

        Args:
            windows: W of the training batch, all full.
            eval_windows: W of the evaluation batch, all full.
        """
        with self._counting():
            return Peaks(passes=self._passes(windows), step=self._step, evaluation=self._evaluation(eval_windows))

    @contextmanager
    def _counting(self) -> Iterator[None]:
        with self._fakes.on(), AsOnCuda(), self._live:
            yield

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", self._half or torch.bfloat16, enabled=self._half is not None)

    def _build(self) -> Network:
        option = replace(self._model.encoder_option, random_weights=True)
        with torch.device("meta"):
            network = self._model.make_network(option, n_outputs=self._n_outputs)
        as_on_cuda(network.encoder, self._length)
        return network.train()

    def _give_gradients(self) -> None:
        for parameter in self._trained:
            parameter.grad = torch.empty_like(parameter)

    def _optimize(self) -> tuple[torch.optim.Optimizer, int]:
        """The optimizer with its states, and the peak of a step that finds them there."""
        model = self._model
        groups = parameter_groups(self._network, model.optimizer_option, lora_b_ratio=model.peft_option.lora_b_ratio)
        optimizer = model.optimizer_option.build(groups)
        for group in optimizer.param_groups:
            if group.get("foreach", False) is None and not group.get("fused"):
                group["foreach"] = True  # torch's choice on a GPU
        optimizer.step()
        self._live.restart()
        optimizer.step()
        return optimizer, self._live.peak

    def _look(self) -> States:
        """What the encoder hands over."""
        with torch.no_grad(), self._autocast():
            states, first = self._network.encode(fake_batch(1, self._length, self._n_outputs))
        trained = any(parameter.requires_grad for parameter in self._network.encoder.parameters())
        return States(states.shape[-1], first.shape[1], states.dtype, trained)

    def _passes(self, windows: int) -> int:
        """Forward and backward pass, the heads' peaks laid over what the encoder has alive between the two."""
        live, heads = self._live, self._heads
        attacked = self._model.attack is not None
        self._network.train()
        self._give_gradients()
        before = live.restart()
        batch = fake_batch(windows, self._length, self._n_outputs)
        with self._autocast():
            loss = _Between.apply(self, windows, *self._network.encode(batch))  # type: ignore[no-untyped-call]
            penalty = self._model.peft_option.penalty(self._network.encoder)
            kept = live.now - before + heads.kept(windows)
            live.at_least(heads.forward(windows))
        if not self._accumulates:
            for parameter in self._trained:
                parameter.grad = None
        losses = [part for part in (loss, penalty) if part is not None and part.requires_grad]
        del loss, penalty
        self._backward(losses)
        # Of the batch as it is, while it passes once more under attack, everything is kept.
        return live.peak + (kept if attacked else 0)

    def _backward(self, losses: list[Tensor]) -> None:
        while losses:
            torch.autograd.backward(losses.pop(0))
        for parameter in self._trained:
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)

    def _evaluation(self, windows: int) -> int:
        """The last full chunk, beside the states of those before; then those of all, copied together, and the heads."""
        chunk = min(windows, max(1, TOKENS_PER_FORWARD // self._length))
        if chunk not in self._chunks:
            self._chunks[chunk] = self._count_chunk(chunk)
        counted, more = self._chunks[chunk], windows - chunk
        others = more * counted.states
        joined = counted.left + others + (windows * counted.states if more else 0)
        return self._resting + max(
            counted.peak + others, joined, counted.left + others + self._heads.evaluation(windows)
        )

    def _count_chunk(self, windows: int) -> _Chunk:
        """Pass a chunk without gradients."""
        live, network = self._live, self._network.eval()
        before = live.restart()
        with torch.no_grad(), self._autocast():
            handed = network.encode(fake_batch(windows, self._length, self._n_outputs))
            counted = _Chunk(
                peak=live.peak - before,
                left=live.now - before,
                states=sum(part.untyped_storage().nbytes() for part in handed) // windows,
            )
        return counted


@dataclass(frozen=True)
class _Chunk:
    """Bytes of windows that pass together without gradients, beside what rests.

    Attributes:
        peak: The most.
        left: After the pass, states and autocast's copies of the weights included.
        states: Of a window.
    """

    peak: int
    left: int
    states: int


class _Between(torch.autograd.Function):
    """Stands where the heads are: lays their peak of the backward pass over what is alive, hands gradients back."""

    @staticmethod
    def forward(ctx: Any, probe: FakeProbe, windows: int, states: Tensor, first: Tensor) -> Tensor:
        """A loss."""
        ctx.probe, ctx.windows = probe, windows
        ctx.sizes = [(part.shape, part.dtype) for part in (states, first)]
        ctx.needed = states
        return torch.empty(())

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Gradients of states and first tokens."""
        probe: FakeProbe = ctx.probe
        probe._live.at_least(probe._heads.backward(ctx.windows))
        ctx.needed = None
        return None, None, *(torch.empty(shape, dtype=dtype) for shape, dtype in ctx.sizes)
