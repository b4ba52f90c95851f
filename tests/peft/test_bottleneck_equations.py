"""The equations of the papers, written out with the encoders' own parts."""

from __future__ import annotations

import pytest
import torch
from peft_samples import adapted, random_batch, stir
from torch.nn.functional import gelu, linear, relu

from redsm5.peft.bottleneck import Compacter, Houlsby, Pfeiffer
from redsm5.peft.bottleneck_layers import Bottleneck, HypercomplexLinear, shared_rule


def hypercomplex_matrix(layer, rule):
    """W [in, out] = sum of Kronecker products, from loops over the definition."""
    n = rule.shape[0]
    return sum(torch.kron(rule[i], layer.left[i] @ layer.right[i]) for i in range(n))


@pytest.mark.parametrize(("inputs", "outputs", "n", "rank"), [(8, 4, 2, 1), (12, 24, 4, 2), (16, 8, 8, 1)])
def test_hypercomplex_layer_is_a_sum_of_kronecker_products(inputs, outputs, n, rank):
    torch.manual_seed(0)
    layer, rule = HypercomplexLinear(inputs, outputs, n=n, rank=rank, zero=False), shared_rule(n)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(3, 5, inputs)
    expected = x @ hypercomplex_matrix(layer, rule) + layer.bias
    assert torch.allclose(layer(x, rule), expected, atol=1e-5)


@pytest.mark.parametrize(("activation", "function"), [("relu", relu), ("gelu", gelu)])
def test_block_is_down_activation_up(activation, function):
    block = Bottleneck(6, bottleneck=3, dropout=0.5, activation=activation, hypercomplex=0, rank=1).eval()
    torch.nn.init.normal_(block.up.weight)
    x = torch.randn(2, 6)
    inside = function(linear(x, block.down.weight, block.down.bias))
    assert torch.allclose(block(x, None), inside @ block.up.weight.T + block.up.bias, atol=1e-6)


def test_dropout_is_inside_the_block():
    block = Bottleneck(6, bottleneck=400, dropout=0.5, activation="relu", hypercomplex=0, rank=1)
    torch.nn.init.ones_(block.up.weight)
    torch.nn.init.ones_(block.down.bias)
    torch.nn.init.zeros_(block.down.weight)
    with torch.no_grad():
        kept = block(torch.zeros(1, 6), None)
    # Each of 400 ones is dropped or doubled.
    assert torch.equal(kept, kept[:, :1].expand(1, 6))
    assert float(kept[0, 0]) % 2 == 0
    assert 250 < float(kept[0, 0]) < 550


def inner(module):
    """What an adapter was put on."""
    return getattr(module, "base_layer", module)


def block_of(module, rules):
    """The adapter on a module, as a function written out."""
    block = module.bottleneck_block["default"]

    def added(x):
        if rules is not None:
            down, up = (hypercomplex_matrix(layer, rules["default"]) for layer in (block.down, block.up))
            return gelu(x @ down + block.down.bias) @ up + block.up.bias
        function = relu if isinstance(block.activation, torch.nn.ReLU) else gelu
        return linear(function(linear(x, block.down.weight, block.down.bias)), block.up.weight, block.up.bias)

    return added


def bert_layer(layer, x, name, rules):
    """A BERT layer with adapters, after the papers; dropout is off."""
    attention, output = inner(layer.attention.output), inner(layer.output)
    attended = attention.dense(layer.attention.self(x)[0])
    if name == "houlsby":  # Houlsby et al. 2019, figure 2: behind each sub-layer, with a skip, before add and norm
        attended = attended + block_of(attention.dropout, rules)(attended)
    if name == "parallel":  # He et al. 2022, table 1: the adapter reads what the sub-layer reads
        attended = attended + block_of(layer.attention.output, None)(x)
    middle = attention.LayerNorm(attended + x)
    fed = output.dense(layer.intermediate(middle))
    if name == "houlsby":
        fed = fed + block_of(output.dropout, rules)(fed)
    if name == "parallel":
        fed = fed + block_of(layer.output, None)(middle)
    norm = inner(output.LayerNorm)
    if name == "pfeiffer":  # Pfeiffer et al. 2021, section 3.2.2: reads the normed sum, is added to the sum
        total = fed + middle
        return norm(total + block_of(output.LayerNorm, None)(norm(total)))
    return norm(fed + middle)


def distilbert_layer(layer, x, name, rules):
    """The same for DistilBERT, whose parts have other names."""
    attention, ffn = inner(layer.attention), inner(layer.ffn)
    attended = attention(x)[0] if name != "houlsby" else None
    if name == "houlsby":
        out = attention.out_lin
        attention.out_lin = inner(out)
        attended = attention(x)[0]
        attention.out_lin = out
        attended = attended + block_of(out, rules)(attended)
    if name == "parallel":
        attended = attended + block_of(layer.attention, None)(x)
    middle = layer.sa_layer_norm(attended + x)
    fed = ffn.lin2(gelu(ffn.lin1(middle)))
    if name == "houlsby":
        fed = fed + block_of(ffn.dropout, rules)(fed)
    if name == "parallel":
        fed = fed + block_of(layer.ffn, None)(middle)
    norm = inner(layer.output_layer_norm)
    if name == "pfeiffer":
        total = fed + middle
        return norm(total + block_of(layer.output_layer_norm, None)(norm(total)))
    return norm(fed + middle)


@pytest.mark.parametrize(("family", "reference"), [("bert", bert_layer), ("distilbert", distilbert_layer)])
@pytest.mark.parametrize(
    ("method", "name"),
    [
        (Pfeiffer(bottleneck=16), "pfeiffer"),
        (Houlsby(bottleneck=16), "houlsby"),
        (Houlsby(bottleneck=16, parallel=True), "parallel"),
        (Compacter(bottleneck=16, n=4, rank=2), "houlsby"),
    ],
    ids=["pfeiffer", "houlsby", "parallel", "compacter"],
)
def test_adapters_stand_where_the_papers_put_them(family, reference, method, name):
    encoder = adapted(family, method).eval()
    stir(encoder)
    rules = encoder.model.base_model.bottleneck_rule if isinstance(method, Compacter) else None
    ids, mask = random_batch(2, 9)
    with torch.no_grad():
        x = encoder.embeddings(ids)
        for layer in encoder.layers:
            x = reference(layer, x, name, rules)
        assert torch.allclose(encoder(ids, mask), x, atol=1e-5)


def test_all_layers_of_compacter_share_one_rule_that_is_saved_once():
    encoder = adapted("bert", Compacter(bottleneck=16))
    rules = [n for n in encoder.state_dict() if "rule" in n]
    assert rules == ["model.base_model.bottleneck_rule.default"]
    rule = encoder.model.base_model.bottleneck_rule["default"]
    users = [m for m in encoder.modules() if hasattr(m, "bottleneck_block")]
    assert len(users) == 4
    assert all(m.bottleneck_rule["default"] is rule for m in users)
