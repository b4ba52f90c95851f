from __future__ import annotations

import pytest
import torch
from peft_samples import FAMILIES, adapted, loss_of
from torch import nn

from redsm5.peft.freezing import BottomLayers, NoFreezing, WholeEncoder
from redsm5.peft.lora import LoRA
from redsm5.peft.names import part_of


def trained(encoder):
    return {n for n, p in encoder.named_parameters() if p.requires_grad}


def norms(encoder):
    return {
        f"{n}.{p}" for n, m in encoder.named_modules() if isinstance(m, nn.LayerNorm) for p, _ in m.named_parameters()
    }


def upper(encoder, n):
    kept = {id(p) for layer in encoder.layers[n:] for p in layer.parameters()}
    return {name for name, p in encoder.named_parameters() if id(p) in kept}


@pytest.mark.parametrize("family", FAMILIES)
def test_freezing_leaves_just_the_parameters_it_says(family):
    everything = set(adapted(family).state_dict()) & {n for n, _ in adapted(family).named_parameters()}
    for freezing, expected in (
        (NoFreezing(), lambda e: everything),
        (BottomLayers(n=0), lambda e: upper(e, 0)),
        (BottomLayers(n=1), lambda e: upper(e, 1)),
        (BottomLayers(n=1, train_norms=True), lambda e: upper(e, 1) | norms(e)),
        (WholeEncoder(), lambda e: set()),
        (WholeEncoder(train_norms=True), norms),
    ):
        encoder = adapted(family, freezing=freezing)
        assert trained(encoder) == expected(encoder), freezing
    assert {n for n in everything if "mbedding" in n} & upper(adapted(family), 0) == set()


@pytest.mark.parametrize("family", FAMILIES)
def test_no_graph_is_built_below_the_first_weight_that_trains(family):
    encoder = adapted(family, freezing=BottomLayers(n=1))
    inputs, saved = [], []
    encoder.layers[0].register_forward_hook(lambda *_: saved.append(len(packed)))
    encoder.layers[1].register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    packed: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(1) or t, lambda t: t):
        loss_of(encoder).backward()
    assert not inputs[0].requires_grad
    assert saved[0] == 0  # no activation was kept for a backward pass
    assert all(p.grad is not None for p in encoder.layers[1].parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_sends_no_gradient_through_frozen_layers(family):
    encoder = adapted(family, freezing=BottomLayers(n=1), gradient_checkpointing=True)
    inputs = []
    encoder.layers[1].register_forward_pre_hook(lambda _, args: inputs.append(args[0].requires_grad))
    loss_of(encoder).backward()
    assert inputs == [False]
    assert all(p.grad is None for p in encoder.layers[0].parameters())
    assert all(p.grad is not None for p in encoder.layers[1].parameters())


def test_peft_on_the_top_layers_builds_no_graph_below_them():
    encoder = adapted("bert", LoRA(r=2, layers="top_4"), layers=6)
    inputs = []
    for layer in encoder.layers:
        layer.register_forward_pre_hook(lambda _, args: inputs.append(args[0].requires_grad))
    loss_of(encoder).backward()
    assert inputs == [False, False, False, True, True, True]


def test_whole_encoder_beside_peft_trains_what_was_added_and_norms_where_asked():
    method = LoRA(r=2, bias="lora_only")
    alone = trained(adapted("bert", method))
    assert trained(adapted("bert", method, WholeEncoder())) == alone
    encoder = adapted("bert", method, WholeEncoder(train_norms=True))
    assert trained(encoder) == alone | norms(encoder)
    assert {part_of(n) for n in norms(encoder)} == {None}


def test_frozen_weights_stay_as_they_are_in_training():
    encoder = adapted("bert", freezing=BottomLayers(n=1))
    before = {n: p.clone() for n, p in encoder.named_parameters()}
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    loss_of(encoder).backward()
    optimizer.step()
    moved = {n for n, p in encoder.named_parameters() if not torch.equal(p, before[n])}
    assert moved <= trained(encoder)
    # In theory the bias of the keys has no gradient, softmax being blind to it.
    assert trained(encoder) - moved <= {"model.encoder.layer.1.attention.self.key.bias"}


@pytest.mark.parametrize(
    ("freezing", "said"),
    [(BottomLayers(n=12), "n is 12, but .* has 12 layers"), (BottomLayers(n=11), None), (WholeEncoder(), None)],
)
def test_misfit_of_a_freezing_is_seen_from_the_facts(freezing, said):
    import re

    from redsm5.catalog import CATALOG
    from redsm5.peft.options import NoPEFT

    misfit = freezing.misfit(CATALOG["google-bert/bert-base-uncased"], NoPEFT())
    assert misfit is None if said is None else re.match(said, misfit)
