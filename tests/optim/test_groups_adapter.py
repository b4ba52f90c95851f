"""Parameter groups of what PEFT adds."""

from __future__ import annotations

import pytest
from peft_samples import adapted
from torch import nn

from redsm5.optim.groups import parameter_groups
from redsm5.optim.optimizers import AdamW
from redsm5.peft.bottleneck import Compacter
from redsm5.peft.ia3 import IA3
from redsm5.peft.lora import AdaLoRA, LoRA, LoRAPlus
from redsm5.peft.names import part_of

OPTION = AdamW(lr=1e-5, head_lr=1e-3, peft_lr=4e-3, weight_decay=0.02)


def network(method):
    net = nn.Module()
    net.encoder = adapted("bert", method)
    net.head = nn.Linear(8, 3)
    return net


def groups_of(method):
    net = network(method)
    names = {parameter: name for name, parameter in net.named_parameters()}
    groups = parameter_groups(net, OPTION, lora_b_ratio=method.lora_b_ratio)
    listed = [p for group in groups for p in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {p for p in net.parameters() if p.requires_grad}
    return {group["name"]: {**group, "params": {names[p] for p in group["params"]}} for group in groups}


@pytest.mark.parametrize("method", [LoRAPlus(r=4, ratio=8.0), LoRA(r=4)])
def test_b_matrices_have_a_rate_of_their_own_under_lora_plus(method):
    groups = groups_of(method)
    assert groups.keys() == {"adapter", "lora_b", "head", "head.no_decay"}
    assert all(".lora_A." in name for name in groups["adapter"]["params"])
    assert all(".lora_B." in name for name in groups["lora_b"]["params"])
    assert len(groups["adapter"]["params"]) == len(groups["lora_b"]["params"]) == 4
    assert groups["adapter"]["lr"] == 4e-3
    assert groups["lora_b"]["lr"] == 4e-3 * (8 if isinstance(method, LoRAPlus) else 1)


def test_biases_that_train_beside_lora_stay_with_the_encoder():
    groups = groups_of(LoRA(r=4, bias="lora_only"))
    assert groups["encoder.layer.0.no_decay"]["lr"] == 1e-5
    assert all(name.endswith("base_layer.bias") for name in groups["encoder.layer.0.no_decay"]["params"])


def test_adalora_has_one_group_for_both_sides():
    groups = groups_of(AdaLoRA(initial_r=4, target_r=2))
    assert groups.keys() == {"adapter", "head", "head.no_decay"}


def test_factors_of_ia3_are_not_decayed():
    groups = groups_of(IA3())
    assert groups.keys() == {"adapter.no_decay", "head", "head.no_decay"}
    assert groups["adapter.no_decay"]["weight_decay"] == 0.0


def test_shared_rule_of_compacter_is_in_the_adapter_group():
    groups = groups_of(Compacter(bottleneck=16))
    assert any("rule" in name for name in groups["adapter"]["params"])
    assert all(name.endswith("bias") for name in groups["adapter.no_decay"]["params"])


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.base_model.model.encoder.layer.0.attention.self.query.lora_A.default.weight", "adapter"),
        ("model.base_model.model.encoder.layer.0.attention.self.query.lora_B.default.weight", "lora_b"),
        ("model.base_model.model.encoder.layer.0.attention.self.query.lora_B.default", "adapter"),
        ("model.base_model.model.encoder.layer.0.attention.self.query.lora_E.default", "adapter"),
        ("model.base_model.model.encoder.layer.0.attention.self.query.base_layer.weight", None),
        ("model.base_model.model.encoder.layer.0.attention.self.query.ranknum.default", None),
        ("model.base_model.model.encoder.layer.0.output.dense.ia3_l.default", "adapter"),
        ("model.base_model.model.encoder.layer.0.output.dropout.bottleneck_block.default.up.weight", "adapter"),
        ("model.base_model.bottleneck_rule.default", "adapter"),
        ("model.encoder.layer.0.attention.self.query.weight", None),
    ],
)
def test_part_of_a_name(name, part):
    assert part_of(name) == part
