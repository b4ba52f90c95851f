"""The mean of several models' weights."""

from dataclasses import replace

import pytest
import torch

from redsm5.ensemble.averaging import architecture, averaged
from redsm5.inference.model_files import read_model
from redsm5.inference.network_predictor import NetworkPredictor

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
