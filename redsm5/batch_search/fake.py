"""The peak memory of a training on a GPU, counted on a machine without one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from redsm5.batch_search.fake_batch import fake_batch
from redsm5.batch_search.fake_cuda import AsOnCuda, as_on_cuda
from redsm5.batch_search.fake_heads import HeadLines, States, head_lines
from redsm5.batch_search.fake_tensors import fake_tensors, forget_values
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
        self._live = LiveBytes()
        self._network = self._build()
        with self._counting():
            forget_values(self._network)
            self._trained = [p for p in self._network.parameters() if p.requires_grad]
            self._give_gradients()
            self._optimizer, self._step = self._optimize()
            states = self._look()
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
        with fake_tensors(), AsOnCuda(), self._live:
            yield

    def _autocast(self) -> torch.autocast:
        return torch.autocast("cpu", self._half or torch.bfloat16, enabled=self._half is not None)

    def _build(self) -> Network:
        option = replace(self._model.encoder_option, random_weights=True)
        with torch.device("meta"):
            network = self._model._network(encoder=option, n_outputs=self._n_outputs)
        as_on_cuda(network.encoder, self._length)
        return network.train()

    def _give_gradients(self) -> None:
        for parameter in self._trained:
            parameter.grad = torch.empty_like(parameter)

    def _optimize(self) -> tuple[torch.optim.Optimizer, int]:
        """The optimizer with its states, and the peak of a step that finds them there."""
        model = self._model
        groups = parameter_groups(
            self._network, model.optimizer_option, lora_b_ratio=model.peft_option.lora_b_ratio
        )
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
        with self._autocast():
            states, first = self._network.encode(fake_batch(1, self._length, self._n_outputs))
        return States(states.shape[-1], first.shape[1], states.dtype, states.requires_grad)

    def _passes(self, windows: int) -> int:
        """Forward and backward pass, the heads' peaks laid over what the encoder has alive between the two."""
        live, heads = self._live, self._heads
        attacked = self._model._attack is not None
        self._give_gradients()
        live.restart()
        before = live.now
        batch = fake_batch(windows, self._length, self._n_outputs)
        with self._autocast():
            loss = _Between.apply(self, windows, *self._network.encode(batch))
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
        live = self._live
        chunk = min(windows, max(1, TOKENS_PER_FORWARD // self._length))
        before = live.restart()
        self._network.eval()
        with torch.no_grad(), self._autocast():
            states = self._network.encode(fake_batch(chunk, self._length, self._n_outputs))
            size = sum(part.untyped_storage().nbytes() for part in states) // chunk
            heads = self._heads.evaluation(windows)
            joined = live.now + (2 * windows - chunk) * size if windows > chunk else live.now
            after = live.now + (windows - chunk) * size + heads
            peak = max(live.peak + (windows - chunk) * size, joined, after)
        self._network.train()
        assert before <= peak
        return peak


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

