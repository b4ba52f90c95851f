import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from redsm5.optim.adafactor import Adafactor
from redsm5.optim.groups import parameter_groups
from redsm5.optim.optimizers import AdamW
from redsm5.peft.names import part_of

OPTION = AdamW(lr=1e-5, head_lr=1e-3, weight_decay=0.02)


class Encoder(nn.Module):
    """A two-layer BERT in the shape of the project's encoder."""

    def __init__(self):
        super().__init__()
        config = BertConfig(
            hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, vocab_size=20
        )
        self.model = BertModel(config)

    @property
    def embeddings(self):
        return self.model.embeddings

    @property
    def layers(self):
        return list(self.model.encoder.layer)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.criteria_head = nn.Linear(8, 3)
        self.evidence_head = nn.Linear(8, 6)


def names_of(network, groups):
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {group["name"]: {names[p] for p in group["params"]} for group in groups}


def test_groups_hold_every_parameter_once():
    network = Network()
    listed = [p for group in parameter_groups(network, OPTION) for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(network.parameters())


def test_groups_are_named_by_part_from_the_bottom_up():
    parts = ["encoder.embeddings", "encoder.layer.0", "encoder.layer.1", "encoder.other", "head"]
    groups = parameter_groups(Network(), OPTION)
    assert [group["name"] for group in groups] == [name for part in parts for name in (part, f"{part}.no_decay")]


def test_groups_hold_the_parameters_of_their_part():
    network = Network()
    for name, members in names_of(network, parameter_groups(network, OPTION)).items():
        part = name.removesuffix(".no_decay")
        prefix = {
            "encoder.embeddings": "encoder.model.embeddings.",
            "encoder.layer.0": "encoder.model.encoder.layer.0.",
            "encoder.layer.1": "encoder.model.encoder.layer.1.",
            "encoder.other": "encoder.model.pooler.",
        }.get(part, ("criteria_head.", "evidence_head."))
        assert members
        assert all(member.startswith(prefix) for member in members)


def test_biases_and_norms_are_not_decayed():
    network = Network()
    groups = parameter_groups(network, OPTION)
    free = set().union(*(g for name, g in names_of(network, groups).items() if name.endswith(".no_decay")))
    assert free == {name for name, _ in network.named_parameters() if "LayerNorm" in name or name.endswith("bias")}
    assert {group["weight_decay"] for group in groups if group["name"].endswith(".no_decay")} == {0.0}
    assert {group["weight_decay"] for group in groups if not group["name"].endswith(".no_decay")} == {0.02}


def test_encoder_and_head_have_rates_of_their_own():
    rates = {group["name"]: group["lr"] for group in parameter_groups(Network(), OPTION)}
    assert {lr for name, lr in rates.items() if name.startswith("encoder")} == {1e-5}
    assert {lr for name, lr in rates.items() if name.startswith("head")} == {1e-3}


def test_frozen_parameters_and_empty_groups_are_left_out():
    network = Network()
    network.encoder.embeddings.requires_grad_(False)
    network.criteria_head.requires_grad_(False)
    groups = parameter_groups(network, OPTION)
    assert not any(group["name"].startswith("encoder.embeddings") for group in groups)
    assert {p for group in groups for p in group["params"]} == {p for p in network.parameters() if p.requires_grad}


def test_layers_that_share_a_parameter_are_refused():
    network = Network()
    below, above = network.encoder.layers
    above.output.dense.weight = below.output.dense.weight
    with pytest.raises(ValueError, match=r"layer\.1 and encoder\.layer\.0 share the parameter output\.dense\.weight"):
        parameter_groups(network, OPTION)


def test_head_tied_to_the_encoder_is_trained_with_the_encoder():
    network = Network()
    network.criteria_head.weight = network.encoder.embeddings.word_embeddings.weight
    groups = {group["name"]: group for group in parameter_groups(network, OPTION)}
    assert any(p is network.criteria_head.weight for p in groups["encoder.embeddings"]["params"])
    assert not any(p is network.criteria_head.weight for p in groups["head"]["params"])


def test_network_without_trainable_parameters_is_refused():
    network = Network().requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameter"):
        parameter_groups(network, OPTION)


def test_optimizer_steps_every_group():
    torch.manual_seed(0)
    network = Network()
    optimizer = OPTION.build(parameter_groups(network, OPTION))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    for name, p in network.named_parameters():
        lr, decay = (1e-3 if "head" in name else 1e-5), (0.02 if p.ndim > 1 else 0.0)
        # The first step of Adam on gradient 1 moves by the rate.
        torch.testing.assert_close(p.detach(), before[name] * (1 - lr * decay) - lr, rtol=1e-5, atol=1e-7)


def test_layer_decay_lowers_the_rate_of_every_layer_below():
    option = AdamW(lr=1e-4, head_lr=1e-3, layer_decay=0.5)
    rates = {group["name"].removesuffix(".no_decay"): group["lr"] for group in parameter_groups(Network(), option)}
    assert rates == {
        "encoder.embeddings": 0.25e-4,
        "encoder.layer.0": 0.5e-4,
        "encoder.layer.1": 1e-4,
        "encoder.other": 1e-4,
        "head": 1e-3,
    }


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("layer.0.attention.self.query.lora_A.default.weight", "adapter"),
        ("layer.0.attention.self.query.lora_B.default.weight", "lora_b"),
        ("layer.0.attention.self.query.lora_E.default", "adapter"),
        ("layer.0.intermediate.dense.ia3_l.default", "adapter"),
        ("layer.0.output.bottleneck_adapter.default.up.weight", "adapter"),
        ("layer.0.attention.self.query.base_layer.weight", None),
        ("layer.0.attention.self.query.weight", None),
    ],
)
def test_part_of_knows_peft_parameters_by_their_name(name, part):
    assert part_of(name) == part


def with_lora(network):
    """LoRA by hand on the query of every layer, and IA3 on the key of the lowest, the weights below them frozen."""
    network.encoder.requires_grad_(False)
    for layer in network.encoder.layers:
        query = layer.attention.self.query
        query.lora_A = nn.ModuleDict({"default": nn.Linear(8, 2, bias=False)})
        query.lora_B = nn.ModuleDict({"default": nn.Linear(2, 8, bias=False)})
    below, above = network.encoder.layers
    below.attention.self.key.ia3_l = nn.ParameterDict({"default": nn.Parameter(torch.ones(8, 1))})
    # As in Compacter, a rule that layers share.
    above.bottleneck_rule = below.bottleneck_rule = nn.Parameter(torch.ones(2, 2, 2))
    return network


def test_peft_parameters_have_groups_and_rates_of_their_own():
    network = with_lora(Network())
    option = AdamW(lr=1e-5, head_lr=1e-3, peft_lr=1e-4, weight_decay=0.02)
    groups = {group["name"]: group for group in parameter_groups(network, option, lora_b_ratio=16.0)}
    assert {name: group["lr"] for name, group in groups.items()} == {
        "adapter": 1e-4,
        "adapter.no_decay": 1e-4,
        "lora_b": pytest.approx(16e-4),
        "head": 1e-3,
        "head.no_decay": 1e-3,
    }
    members = names_of(network, list(groups.values()))
    assert all("lora_A" in name or "bottleneck_rule" in name for name in members["adapter"])
    assert len(members["adapter"]) == 3
    assert {name.rpartition(".")[2] for name in members["lora_b"]} == {"weight"}
    assert all("ia3_l" in name for name in members["adapter.no_decay"])
    assert len(members["adapter.no_decay"]) == 1
    listed = [p for group in groups.values() for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {p for p in network.parameters() if p.requires_grad}


def test_relative_adafactor_gives_the_groups_no_rate():
    groups = parameter_groups(Network(), Adafactor(relative_step=True))
    assert {group["lr"] for group in groups} == {None}
    rates = {group["name"]: group["lr"] for group in parameter_groups(Network(), Adafactor(lr=3e-4))}
    assert (rates["encoder.layer.0"], rates["head"]) == (3e-4, 2e-3)
