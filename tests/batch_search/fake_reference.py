"""Training steps for real, their peak memory as PyTorch's profiler sees it: what predictions are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from encoder_samples import tiny_facts
from torch import Tensor
from torch.nn import functional as F

from redsm5.batch_search.fake_batch import fake_batch
from redsm5.batch_search.fake_cuda import AsOnCuda, as_on_cuda
from redsm5.modules.encoder import Encoder
from redsm5.modules.encoder_weights import config_of_facts
from redsm5.modules.module import MultiTaskModule
from redsm5.optim.groups import parameter_groups
from redsm5.peft.methods import NoPEFT

OUTPUTS = 9


class _RealAttention(AsOnCuda):
    """As on a GPU, but for the kernel of attention, which a CPU lacks: its own keeps as much where nothing drops."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)


def encoder_folder(family: str, folder: Path, *, hidden: int = 128, layers: int = 3, context: int = 256) -> Path:
    """A config without weights, wide enough that what an allocator rounds up does not count."""
    small = tiny_facts(family, context=context)
    facts = type(small)(**{**vars(small), "hidden": hidden, "heads": 4, "ffn": 4 * hidden, "layers": layers})
    config = config_of_facts(facts)
    if family == "longformer":
        config.attention_window = [32] * layers
    if family == "big_bird":
        config.block_size, config.num_random_blocks = 8, 1
    config.save_pretrained(folder)
    return folder


def module_of(folder: Path, *, checkpointing: bool = False, dropout: bool = False, **options) -> MultiTaskModule:
    """A module with random weights."""
    drops = {} if dropout else {"hidden_dropout": 0.0, "attention_dropout": 0.0}
    encoder = Encoder(id=str(folder), random_weights=True, gradient_checkpointing=checkpointing, **drops)
    return MultiTaskModule(encoder, **{"peft": NoPEFT(), **options})


def profiled(step: Callable[[], None]) -> int:
    """The most bytes that the profiler sees allocated at once, beyond those at its start."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def real_peaks(
    model: MultiTaskModule, windows: int, length: int, *, half: bool, accumulates: bool = False
) -> tuple[int, int, int]:
    """Peaks of passes, step and evaluation of a real module, in the order of Lightning."""
    torch.manual_seed(0)
    model.network = network = model.make_network(model.encoder_option, n_outputs=OUTPUTS).train()
    model.criteria_loss = model.criteria_loss_option.build((0.2,) * OUTPUTS)
    if network.encoder.config._attn_implementation == "eager":
        as_on_cuda(network.encoder, length)  # what is recomputed too
    optimizer = model.optimizer_option.build(parameter_groups(network, model.optimizer_option))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    batch = fake_batch(windows, length, OUTPUTS)
    autocast = torch.autocast("cpu", torch.bfloat16, enabled=half)

    def clear() -> None:
        for parameter in trained:
            parameter.grad = None

    def give() -> None:
        for parameter in trained:
            parameter.grad = torch.zeros_like(parameter)

    def passes() -> None:
        give()  # here: the profiler does not see how something goes that was made before it began
        with autocast:
            loss = model.losses(batch).total
            penalty = model.peft_option.penalty(network.encoder)
            loss = loss if penalty is None else loss + penalty
        if not accumulates:
            clear()
        torch.autograd.backward(loss)

    def evaluate() -> None:
        network.eval()
        with torch.no_grad(), autocast:
            output = model.losses(batch).output
            network.evidence_head.candidates(output.evidence, batch, model.decoding)
        network.train()

    with _RealAttention():
        small = fake_batch(1, length, OUTPUTS)
        torch.autograd.backward(model.losses(small).total)
        give()
        optimizer.step()
        clear()
        resting = size_of([*network.parameters(), *network.buffers()])
        resting += size_of([t for state in optimizer.state.values() for t in state.values() if isinstance(t, Tensor)])
        peaks = [resting + profiled(passes)]
        give()
        resting += size_of([parameter.grad for parameter in trained])
        peaks += [resting + profiled(run) for run in (optimizer.step, evaluate)]
    return peaks[0], peaks[1], peaks[2]


def size_of(tensors: list[Tensor | None]) -> int:
    """Bytes of the storages of tensors, each once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors if t is not None}
    return sum(storages.values())
