"""The whole network: what goes from where to where, on a tiny encoder."""

from __future__ import annotations

import dataclasses
from itertools import product
from typing import get_args

import pytest
import torch
from span_batches import make_batch

from redsm5.errors import UserError
from redsm5.modules import network as network_module
from redsm5.modules.aggregation import Attention as WindowAttention
from redsm5.modules.aggregation import LogSumExp
from redsm5.modules.coupling import EvidenceInformed, Independent, Join, SpanPooling
from redsm5.modules.criteria_head import GatedHead, LinearHead, MLPHead, ResidualMLPHead
from redsm5.modules.encoder import Encoder
from redsm5.modules.evidence_head import StartEnd
from redsm5.modules.network import Network
from redsm5.modules.pooling import CLS, Attention, Mean, ScalarMix
from redsm5.optim.groups import parameter_groups
from redsm5.optim.optimizers import AdamW

K = 3
INFORMED = [EvidenceInformed(pooling, join) for pooling, join in product(get_args(SpanPooling), get_args(Join))]
EVERY_VALUE = [INFORMED[i] for i in (0, 6, 12, 3, 9)]
"""Each pooling and each join of evidence once or twice."""
PARTS = [
    *({"coupling": coupling} for coupling in (Independent(), *EVERY_VALUE)),
    *({"coupling": INFORMED[0], "pooling": pooling} for pooling in (CLS(), Attention(4), ScalarMix(2))),
    *({"coupling": INFORMED[0], "criteria_head": head(hidden=16)} for head in (MLPHead, ResidualMLPHead, GatedHead)),
    {"coupling": INFORMED[0], "aggregation": WindowAttention(8)},
    {"coupling": INFORMED[0], "evidence_head": StartEnd(inside=False)},
]


def name(parts):
    return " ".join(str(option) for option in parts.values())


@pytest.fixture
def build(tiny_encoder):
    def make(n_outputs=K, **parts):
        chosen = {
            "pooling": Mean(),
            "aggregation": LogSumExp(),
            "criteria_head": LinearHead(),
            "evidence_head": StartEnd(),
            **parts,
        }
        torch.manual_seed(0)
        built = Network(encoder=Encoder(str(tiny_encoder)), n_outputs=n_outputs, **chosen).eval()
        for part in (built.pooling, built.coupling):
            for parameter in () if part is None else part.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
        return built

    return make


def batch(n_outputs=K, **more):
    """Five windows of three examples; the last has no context."""
    context = torch.zeros(5, 9)
    context[0, 1:8] = context[1, 1:4] = context[2, 2:7] = context[3, 1:5] = 1
    made = make_batch(context, [0, 0, 1, 1, 2], n_outputs, **more)
    torch.manual_seed(2)
    made.input_ids = torch.randint(5, 60, (5, 9))
    made.attention_mask[:, 8] = 0
    return made


@pytest.mark.parametrize("parts", PARTS, ids=name)
def test_criteria_do_not_read_gold(build, parts):
    network, plain = build(**parts), batch()
    told = batch(spans=[(0, 0, 2, 4), (2, 1, 3, 5)], cut_spans=[(1, 2, 1, 3)], hard_negatives=[(3, 0, 1, 2)])
    told.evidence_mask[0] = False
    told.unknown[2] = True
    told.labels += 1
    with torch.no_grad():
        for train in (False, True):
            network.train(train)
            torch.manual_seed(5)
            expected = network(plain).criteria_logits
            torch.manual_seed(5)
            assert torch.equal(network(told).criteria_logits, expected)


@pytest.mark.parametrize("parts", PARTS, ids=name)
def test_criteria_send_gradients_to_both_heads_where_they_are_coupled(build, parts):
    network = build(**parts)
    network(batch()).criteria_logits.square().sum().backward()
    for part in (network.encoder, network.pooling, network.aggregation, network.criteria_head):
        assert all(p.grad.abs().sum() > 0 for p in part.parameters() if p.grad is not None)
    assert all(p.grad is not None for p in network.criteria_head.parameters())
    weight = network.evidence_head.linear.weight.grad
    if network.coupling is None:
        assert weight is None
    else:
        assert weight.isfinite().all()
        assert weight.abs().sum() > 0
        assert all(p.grad.abs().sum() > 0 for p in network.coupling.parameters())


@pytest.mark.parametrize("parts", PARTS, ids=name)
def test_output_is_finite_under_autocast_and_so_are_gradients(build, parts):
    network = build(**parts).train()
    for dtype in (torch.bfloat16, torch.float16):
        network.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            output = network(batch())
        assert output.criteria_logits.dtype == torch.float32
        assert output.criteria_logits.isfinite().all()
        output.criteria_logits.sum().backward()
        assert all(p.grad.isfinite().all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("parts", PARTS, ids=name)
def test_logits_do_not_depend_on_padding_or_on_chunks(build, parts, monkeypatch):
    network, plain = build(**parts), batch()
    wide = dataclasses.replace(
        plain,
        **{
            field: torch.nn.functional.pad(getattr(plain, field), (0, 4))
            for field in ("input_ids", "attention_mask", "context_mask")
        },
        offsets=torch.nn.functional.pad(plain.offsets, (0, 0, 0, 4)),
    )
    expected = network(plain).criteria_logits
    with torch.no_grad():
        torch.testing.assert_close(network(wide).criteria_logits, expected, rtol=1e-4, atol=1e-5)
        monkeypatch.setattr(network_module, "TOKENS_PER_FORWARD", 18)  # two windows at once
        torch.testing.assert_close(network(plain).criteria_logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parts", PARTS, ids=name)
def test_a_pair_is_scored_by_one_output(build, parts):
    output = build(n_outputs=1, **parts)(batch(1))
    assert output.criteria_logits.shape == (3, 1)
    assert output.criteria_logits.isfinite().all()


@pytest.mark.parametrize("coupling", INFORMED, ids=str)
def test_criteria_follow_the_evidence_head_where_they_are_coupled(build, coupling):
    """Evidence bound elsewhere changes the logit of its own output alone."""
    network = build(coupling=coupling)
    before = network(batch()).criteria_logits
    with torch.no_grad():
        network.evidence_head.linear.bias[2 * K + 1] += 1.0  # the inside logits of output 1
    change = (network(batch()).criteria_logits - before).abs()
    assert change[:2, 1].min() > 1e-5
    assert change[:, [0, 2]].max() == 0
    assert change[2].max() == 0  # a window without context has no evidence


@pytest.mark.parametrize("parts", PARTS, ids=name)
def test_new_parameters_learn_at_the_rate_of_the_heads(build, parts):
    network = build(**parts)
    groups = parameter_groups(network, AdamW())
    in_head = {p for group in groups if group["name"].startswith("head") for p in group["params"]}
    assert in_head == {p for n, p in network.named_parameters() if not n.startswith("encoder.")}
    undecayed = {p for group in groups if group["name"] == "head.no_decay" for p in group["params"]}
    assert {p for p in in_head if p.ndim == 1} == undecayed


def test_every_value_of_every_field_changes_the_logits(build):
    """Weights alike as far as shapes go: variants differ by more than their draws."""
    options = [
        *({"coupling": coupling} for coupling in (Independent(), *INFORMED)),
        *({"pooling": pooling} for pooling in (CLS(), Attention(1), Attention(4), ScalarMix(2))),
        *({"criteria_head": head(hidden=16)} for head in (MLPHead, ResidualMLPHead, GatedHead)),
        {"criteria_head": MLPHead(hidden=17)},
        {"criteria_head": MLPHead(hidden=16, activation="relu")},
        {"criteria_head": GatedHead(hidden=16, gate="gelu")},
    ]
    with torch.no_grad():
        found = [build(**parts)(batch()).criteria_logits for parts in options]
    for i, first in enumerate(found):
        for j in range(i):
            assert not torch.allclose(first, found[j], atol=1e-6), (options[i], options[j])


def test_mix_of_more_layers_than_there_are_is_refused(build, tiny_encoder):
    with pytest.raises(UserError, match=rf"model.pooling.layers is 3; {tiny_encoder} has 2 layers"):
        build(pooling=ScalarMix(3))
