"""What encoder and optimizer take, counted on tensors without values, or on a few real ones where values are needed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode, unset_fake_temporarily
from torch.optim import Optimizer
from transformers import PreTrainedConfig

from redsm5.batch_search.live_bytes import CudaAutocast, LiveBytes
from redsm5.catalog import facts
from redsm5.modules.encoder import Encoder
from redsm5.modules.encoder_build import BuiltEncoder, wrap
from redsm5.modules.encoder_weights import from_config, load
from redsm5.modules.module import MultiTaskModule
from redsm5.optim.groups import parameter_groups


@dataclass(frozen=True)
class Counted:
    """Bytes of a training batch in the encoder, with everything else that is alive.

    Attributes:
        peak: In its forward and backward pass.
        between: Between the two, where heads and losses come on top.
    """

    peak: int
    between: int


class EncoderBytes(Protocol):
    """What encoder and optimizer take.

    Attributes:
        hidden: H.
        config: Of the transformers model.
        states_dtype: Of token states.
        states: Bytes of the token states of a window.
        resting: Bytes of weights and optimizer states.
        step: Peak of an optimizer step.
    """

    hidden: int
    config: PreTrainedConfig
    states_dtype: torch.dtype
    states: int
    resting: int
    step: int

    def train(self, windows: int) -> Counted:
        """A training batch."""

    def evaluate(self, windows: int) -> int:
        """Peak of the forward pass of windows that go through the encoder at once, without gradients."""


def encoder_bytes(model: MultiTaskModule, *, length: int, half: bool, accumulates: bool) -> EncoderBytes:
    """Count the encoder and the optimizer of a module, on fake tensors if they can do with them.

    Args:
        model: The module; its encoder is not built.
        length: L, tokens of a window.
        half: Whether autocast is on.
        accumulates: Whether gradients of one batch are there while the next one passes.
    """
    # An attack passes the batch once more; both graphs are there until the backward pass.
    times = 1 if model.attack is None else 2
    try:
        return CountedEncoder(model, length=length, half=half, accumulates=accumulates, times=times)
    except DataDependentOutputException:
        few = [CountedEncoder(model, length=length, half=half, times=times, layers=n) for n in (1, 2)]
        known = facts(model.encoder_option.id, model.encoder_option.revision)
        return ExtrapolatedEncoder(few[0], few[1], known.layers, accumulates=accumulates)


class CountedEncoder:
    """Counts one encoder.

    What differs on a GPU is set right: softmax and layer norm run in fp32 under autocast; attention dropout leaves no
    matrix where attention is fused, and is left out there.

    Args:
        model: The module.
        length: L.
        half: Whether autocast is on.
        accumulates: Whether gradients are there from before.
        times: How often a batch is passed.
        layers: Cut the encoder to so many layers and run it on real tensors, without keeping gradients of weights.

    Raises:
        DataDependentOutputException: The encoder's shapes depend on values, and `layers` is not given.
    """

    def __init__(
        self,
        model: MultiTaskModule,
        *,
        length: int,
        half: bool,
        accumulates: bool = False,
        times: int = 1,
        layers: int | None = None,
    ) -> None:
        self._length, self._half, self._accumulates, self._times = length, half, accumulates, times
        fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._mode: AbstractContextManager[Any] = fake if layers is None else nullcontext()
        self._live = live = LiveBytes()
        option = _for_gpu(model) if layers is None else _cut(_for_gpu(model), layers)
        if layers is None:
            with torch.device("meta"):
                network = model.make_network(option, n_outputs=1).train()
        else:
            network = model.make_network(option, n_outputs=1).train()
        with self._mode:
            if layers is None:
                _without_values(network)
            groups = parameter_groups(network, model.optimizer_option, lora_b_ratio=model.peft_option.lora_b_ratio)
            self._optimizer: Optimizer = model.optimizer_option.build(groups)
        self._encoder = network.encoder
        self.hidden, self.config = self._encoder.hidden_size, self._encoder.config
        self._trained = [p for group in self._optimizer.param_groups for p in group["params"]]
        with self._mode, live:
            live.add([*network.parameters(), *network.buffers()])
            with torch.no_grad():
                one = self._pass(1)[0]
            self.states, self.states_dtype = one.untyped_storage().nbytes(), one.dtype
            del one
            self._make_gradients()
            self.step = self._steps(model)
            self.gradients = sum(parameter.grad.untyped_storage().nbytes() for parameter in self._trained)
            self._optimizer.zero_grad(set_to_none=True)
        self.resting = live.now
        if layers is not None:
            for parameter in self._trained:
                parameter.register_post_accumulate_grad_hook(_drop)

    def train(self, windows: int) -> Counted:
        """A training batch."""
        live = self._live
        with self._mode, live:
            if self._accumulates:
                self._make_gradients()
            live.restart()
            states = self._pass(windows)
            between = live.now
            while states:
                _backward(states.pop())
            peak = live.peak
            self._optimizer.zero_grad(set_to_none=True)
        return Counted(peak, between)

    def evaluate(self, windows: int) -> int:
        """Peak of a forward pass without gradients."""
        live = self._live
        with self._mode, live, torch.no_grad():
            live.restart()
            self._pass(windows)
            return live.peak

    def _steps(self, model: MultiTaskModule) -> int:
        """Peak of an optimizer step that finds its states there; they stay."""
        live = self._live
        try:
            for _ in range(2):
                live.restart()
                self._optimizer.step()
            return live.peak
        except DataDependentOutputException:  # it reads values: its states as a share of those of small real weights
            self._optimizer.state.clear()
            with unset_fake_temporarily():
                states, beside = _share_of_states(model)
            weights = [parameter.untyped_storage().nbytes() for parameter in self._trained]
            self._states = torch.empty(round(sum(weights) * states), dtype=torch.uint8)
            return int(live.now + max(weights) * beside)

    def _make_gradients(self) -> None:
        for parameter in self._trained:
            parameter.grad = torch.zeros_like(parameter)

    def _pass(self, windows: int) -> list[Tensor]:
        """Token states of a batch, as often as it is passed."""
        shape = (windows, self._length)
        ids = torch.zeros(shape, dtype=torch.int64)
        mask, types = torch.ones_like(ids), torch.zeros_like(ids)
        leading = torch.zeros(shape, dtype=torch.bool)
        leading[:, :1] = True
        times = self._times if torch.is_grad_enabled() else 1
        with CudaAutocast(), torch.autocast("cpu", torch.bfloat16, enabled=self._half):
            return [self._encoder(ids, mask, types, leading) for _ in range(times)]


class ExtrapolatedEncoder:
    """From one and two layers, and one and two windows, to all of them: activations are a line in both.

    Args:
        one: Of an encoder of one layer.
        two: The same with two layers.
        layers: Of the encoder.
        accumulates: Whether gradients are there from before.
    """

    def __init__(self, one: CountedEncoder, two: CountedEncoder, layers: int, *, accumulates: bool) -> None:
        self._layers = layers
        self.hidden, self.config = two.hidden, two.config
        self.states, self.states_dtype = two.states, two.states_dtype
        self.resting = self._over_layers(one.resting, two.resting)
        self.step = self._over_layers(one.step, two.step)
        self._gradients = self._over_layers(one.gradients, two.gradients)
        self._before = self._gradients if accumulates else 0
        self._trained = [[encoder.train(n) for n in (1, 2)] for encoder in (one, two)]
        # Without gradients nothing of a layer is kept: beside the weights, all layers take what two take.
        self._evaluated = [two.evaluate(n) - two.resting for n in (1, 2)]

    def train(self, windows: int) -> Counted:
        """A training batch: its activations at the start of the backward pass, or all gradients at its end."""
        (a, b), (c, d) = self._trained
        peak = self._over_layers(_line(a.peak, b.peak, windows), _line(c.peak, d.peak, windows))
        between = self._over_layers(_line(a.between, b.between, windows), _line(c.between, d.between, windows))
        return Counted(max(peak + self._before, self.resting + self._gradients), between + self._before)

    def evaluate(self, windows: int) -> int:
        """Peak of a forward pass without gradients."""
        first, second = self._evaluated
        return self.resting + _line(first, second, windows)

    def _over_layers(self, one: int, two: int) -> int:
        return _line(one, two, self._layers)


def _line(first: int, second: int, n: int) -> int:
    """What there is of n, where there is `first` of one and `second` of two."""
    return first + (second - first) * (n - 1)


def _without_values(network: nn.Module) -> None:
    """Put tensors of the mode that is on in place of all parameters and buffers, the same where they were the same."""
    made: dict[int, Tensor] = {}
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                if id(parameter) not in made:
                    empty = torch.empty(parameter.shape, dtype=parameter.dtype)
                    made[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
                module._parameters[name] = made[id(parameter)]  # type: ignore[assignment]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def _share_of_states(model: MultiTaskModule) -> tuple[float, float]:
    """Bytes of an optimizer's states per byte of weights, and what a step takes beside them per byte of the largest."""
    live = LiveBytes()
    with live:
        weights = [nn.Parameter(torch.ones(256, 256)) for _ in range(2)]
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        before, size = live.now, weights[0].untyped_storage().nbytes()
        group = {"name": "head", "params": weights, "lr": 1e-3, "weight_decay": 0.01}
        optimizer = model.optimizer_option.build([group])
        for _ in range(2):
            live.restart()
            optimizer.step()
        return (live.now - before) / (2 * size), (live.peak - live.now) / size


def _drop(parameter: Tensor) -> None:
    """Gradients of weights grow while activations go, so that the peak is at neither: they are counted apart."""
    parameter.grad = None


def _backward(states: Tensor) -> None:
    """As if heads had sent a gradient to each state."""
    torch.autograd.backward(states, torch.ones_like(states))


def _for_gpu(model: MultiTaskModule) -> Encoder:
    """The encoder option as a GPU would run it."""
    option = replace(model.encoder_option, random_weights=True)
    known = facts(option.id, option.revision)
    return option if known.attention == "eager" else replace(option, attention_dropout=0.0)


def _cut(option: Encoder, layers: int) -> Encoder:
    """An encoder of fewer layers."""
    with torch.device("meta"):
        config = load(option).config
    config.num_hidden_layers = layers
    windows = getattr(config, "attention_window", None)
    if isinstance(windows, list):  # Longformer has one for each layer
        config.attention_window = windows[:layers]
    encoder: nn.Module = wrap(from_config(config), gradient_checkpointing=option.gradient_checkpointing)
    return BuiltEncoder(id=option.id, model=encoder)
