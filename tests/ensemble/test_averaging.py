"""The mean of several models' weights."""

import weakref
from dataclasses import fields, replace

import pytest
import torch

from redsm5.ensemble.averaging import OF_TRAINING, architecture, averaged, folded
from redsm5.inference.model_files import read_model
from redsm5.inference.network_predictor import NetworkPredictor
from redsm5.modules.aggregation import LogSumExp
from redsm5.modules.criteria_head import GatedHead, MLPHead
from redsm5.modules.evidence_head import CRF, Biaffine, SentenceFilter, StartEnd
from redsm5.modules.network import Network
from redsm5.peft.methods import Compacter, Houlsby, LoRA, LoRAPlus, NoPEFT

TEXT = "Every morning I wake up joyless again. The bus was late again today."


@pytest.fixture(scope="module")
def model(trained_run):
    return read_model(trained_run)


def moved(model, by):
    return replace(model, state={name: tensor + by for name, tensor in model.state.items()})


def test_averaged_weights_are_the_mean_of_all_tensors(model):
    found = averaged([moved(model, 0.5), moved(model, -0.5), moved(model, 0.3)])
    for name, tensor in model.state.items():
        if tensor.is_floating_point():
            assert torch.allclose(found.state[name], tensor + 0.1, atol=1e-6)


def test_averaged_weights_of_one_model_predict_as_it_does(model):
    (alone,) = NetworkPredictor(model, device="cpu").predict(TEXT)
    (mean,) = NetworkPredictor(averaged([model, model]), device="cpu").predict(TEXT)
    assert mean == alone


def test_architectures_are_the_same_whatever_only_a_training_reads(model):
    encoder = replace(model.recipe.network.encoder, hidden_dropout=0.3)
    head = replace(model.recipe.network.criteria_head, dropout=0.4)
    network = replace(model.recipe.network, encoder=encoder, criteria_head=head)
    other = replace(model, recipe=replace(model.recipe, network=network))
    assert architecture(other) == architecture(model)


def test_architectures_differ_by_layout_part_and_shape(model, pairs_run):
    assert architecture(read_model(pairs_run)) != architecture(model)
    fewer = replace(model, state=dict(list(model.state.items())[1:]))
    assert architecture(fewer) != architecture(model)


def changed(model, **options):
    """A model with other options and the same tensors."""
    return replace(model, recipe=replace(model.recipe, network=replace(model.recipe.network, **options)))


def adapted(model, peft, seed=0):
    """A model that nobody has trained, with a method on it whose factors are not 0."""
    options = replace(model.recipe.network, peft=peft)
    given = {field.name: getattr(options, field.name) for field in fields(options)}
    torch.manual_seed(0)
    network = Network(**given, n_outputs=len(model.criteria))
    torch.manual_seed(seed)
    state = {
        name: torch.randn_like(tensor) * 0.1 if "lora_" in name else tensor
        for name, tensor in network.state_dict().items()
    }
    return replace(model, recipe=replace(model.recipe, network=options), state=state)


DIFFERENT = {
    "activation": [{"criteria_head": MLPHead(activation=name)} for name in ("gelu", "relu")],
    "gate": [{"criteria_head": GatedHead(gate=name)} for name in ("sigmoid", "silu")],
    "temperature": [{"aggregation": LogSumExp(temperature=value)} for value in (1.0, 2.0)],
    "inside_scale": [{"evidence_head": StartEnd(inside_scale=value)} for value in (1.0, 0.5)],
    "top_k of a filter": [{"evidence_head": SentenceFilter(top_k=value)} for value in (5, 3)],
    "a head behind a filter": [{"evidence_head": SentenceFilter(head=head)} for head in (CRF(), Biaffine())],
    "parallel": [{"peft": Houlsby(parallel=value)} for value in (False, True)],
    "layers": [{"peft": Houlsby(layers=value)} for value in ("all", "top_4")],
    "factors": [{"peft": Compacter(n=value)} for value in (2, 4)],
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_architectures_differ_by_what_no_shape_tells(model, what):
    one, other = (changed(model, **options) for options in DIFFERENT[what])
    assert architecture(one) != architecture(other)


def test_architectures_are_the_same_whatever_the_weights_of_a_loss(model):
    one = changed(model, evidence_head=SentenceFilter(head=StartEnd()))
    head = SentenceFilter(head=StartEnd(null_weight=0.5, inside_weight=3.0, dropout=0.3), weight=0.2)
    assert architecture(changed(model, evidence_head=head)) == architecture(one)
    assert {"weight", "null_weight", "inside_weight", "dropout"} <= OF_TRAINING


def test_lora_is_multiplied_out_before_the_mean(model):
    """Two ranks and two scales: the mean is that of W + alpha / r B A, which no mean of factors is."""
    methods = (LoRA(r=4, alpha=8.0), LoRAPlus(r=2, alpha=40.0))
    given = [adapted(model, peft, seed) for seed, peft in enumerate(methods)]
    plain = [folded(one) for one in given]
    assert architecture(given[0]) != architecture(given[1])
    assert architecture(plain[0]) == architecture(plain[1])
    mean = averaged(plain)
    assert isinstance(mean.recipe.network.peft, NoPEFT)
    assert not any("lora_" in name for name in mean.state)
    moved = [name.removesuffix(".lora_A.default.weight") for name in given[0].state if "lora_A" in name]
    for module in moved:
        products = [
            one.state[f"{module}.base_layer.weight"]
            + peft.alpha
            / peft.r
            * one.state[f"{module}.lora_B.default.weight"]
            @ one.state[f"{module}.lora_A.default.weight"]
            for one, peft in zip(given, methods, strict=True)
        ]
        name = module.replace("base_model.model.", "", 1) + ".weight"
        assert torch.allclose(mean.state[name], sum(products) / 2, atol=1e-6)
    assert moved


def test_folded_model_predicts_as_it_did(model):
    lora = adapted(model, LoRA(r=4, alpha=16.0))
    (before,) = NetworkPredictor(lora, device="cpu").predict(TEXT)
    (after,) = NetworkPredictor(folded(lora), device="cpu").predict(TEXT)
    assert after.probabilities == pytest.approx(before.probabilities, abs=1e-5)


def test_adapters_that_cannot_be_folded_stay_as_they_are(model):
    houlsby = adapted(model, Houlsby(bottleneck=8))
    assert folded(houlsby) is houlsby


def test_averaging_holds_one_model_beside_the_first(model):
    alive = []

    def read(by):
        assert sum(one() is not None for one in alive) <= 1
        made = moved(model, by)
        alive.append(weakref.ref(made))
        return made

    averaged(read(by) for by in (0.1, 0.2, 0.3, 0.4))
    assert len(alive) == 4
