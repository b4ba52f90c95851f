"""States of layers below the last, beside those of transformers' own ``output_hidden_states``."""

from __future__ import annotations

import copy

import pytest
import torch
from encoder_samples import FAMILIES, random_batch, tiny_config
from transformers import AutoModel, ModernBertConfig

from redsm5.modules.encoder_build import wrap
from redsm5.modules.encoder_model import EncoderModel
from redsm5.peft.attach import attach
from redsm5.peft.freezing import NoFreezing
from redsm5.peft.methods import LoRA

LAYERS = 4
ALL = (*FAMILIES, "modernbert")
KEYS = {"distilbert": "n_layers"}


def make(family: str, *, gradient_checkpointing: bool = False) -> EncoderModel:
    torch.manual_seed(0)
    if family == "modernbert":
        config = ModernBertConfig(
            vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=LAYERS, num_attention_heads=2,
            max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
        )  # fmt: skip
    else:
        config = tiny_config(family)
        setattr(config, KEYS.get(family, "num_hidden_layers"), LAYERS)
        if family == "longformer":
            config.attention_window = [8] * LAYERS
    return wrap(AutoModel.from_config(config), gradient_checkpointing=gradient_checkpointing)


def hidden_states(encoder: EncoderModel, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
    more = {}
    if encoder.config.model_type == "longformer":
        more["global_attention_mask"] = torch.zeros_like(ids).index_fill(1, torch.tensor([0]), 1)
    return encoder.model(input_ids=ids, attention_mask=mask, output_hidden_states=True, **more).hidden_states


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize(
    "length", [11, 41]
)  # no multiples of windows and blocks; for BigBird full and sparse attention
def test_last_layers_are_those_of_transformers(family, length):
    encoder = make(family).eval()
    ids, mask = random_batch(2, length)
    with torch.no_grad():
        last = encoder(ids, mask)
        expected = hidden_states(encoder, ids, mask)
        assert len(expected) == LAYERS + 1  # with the embeddings
        for n in range(1, LAYERS + 1):
            layers = encoder.last_layers(n, ids, mask)
            assert len(layers) == n
            assert torch.equal(layers[-1], last)
            for ours, theirs in zip(layers, expected[-n:], strict=True):
                assert ours.shape == (2, length, 32)
                assert torch.equal(ours, theirs[:, :length])
    assert not torch.equal(layers[0], layers[1])


@pytest.mark.parametrize("family", ALL)
def test_last_layers_are_the_outputs_of_the_layers(family):
    """Beside hooks on the modules: below the final norm of ModernBERT and nothing else."""
    encoder = make(family).eval()
    ids, mask = random_batch(2, 9)
    seen: list[torch.Tensor] = []
    for layer in encoder.layers:
        layer.register_forward_hook(lambda m, a, out: seen.append(out[0] if isinstance(out, tuple) else out))
    with torch.no_grad():
        layers = encoder.last_layers(LAYERS, ids, mask)
    for index, (ours, theirs) in enumerate(zip(layers, seen, strict=True)):
        assert torch.equal(ours, theirs[:, :9]) == (family != "modernbert" or index < LAYERS - 1)


@pytest.mark.parametrize("family", ALL)
def test_last_layers_under_checkpointing_have_the_same_states_and_gradients(family):
    plain = make(family)
    checkpointed = wrap(copy.deepcopy(plain.model), gradient_checkpointing=True)
    ids, mask = random_batch(2, 9)
    found = []
    for encoder in (plain, checkpointed):
        torch.manual_seed(3)  # the same dropout masks in both
        layers = encoder.last_layers(3, ids, mask)
        sum(states[:, 0].square().sum() for states in layers).backward()
        gradients = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
        found.append((layers, gradients))
    for ours, theirs in zip(found[1][0], found[0][0], strict=True):
        torch.testing.assert_close(ours, theirs)
    assert found[0][1].keys() == found[1][1].keys()
    for name, gradient in found[0][1].items():
        torch.testing.assert_close(found[1][1][name], gradient, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_last_layers_of_an_adapted_encoder_are_those_of_the_plain_one(family):
    """What is added starts as nothing."""
    encoder = make(family).eval()
    ids, mask = random_batch(2, 11)
    with torch.no_grad():
        before = encoder.last_layers(3, ids, mask)
        attach(encoder, LoRA(r=2), NoFreezing(), id=f"tiny/{family}")
        after = encoder.eval().last_layers(3, ids, mask)
    assert len(after) == 3
    for ours, theirs in zip(after, before, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("n", [0, LAYERS + 1])
def test_last_layers_refuses_layers_that_are_not_there(n):
    with pytest.raises(ValueError, match=f"{n} layers are asked for; this encoder has {LAYERS}"):
        make("bert").last_layers(n, *random_batch(1, 5))


def test_hidden_states_are_asked_for_only_where_they_are_read():
    encoder = make("bert").eval()
    asked: list[bool] = []
    encoder.model.register_forward_pre_hook(
        lambda m, args, kwargs: asked.append(kwargs.get("output_hidden_states", False)), with_kwargs=True
    )
    with torch.no_grad():
        encoder(*random_batch(1, 5))
        encoder.last_layers(1, *random_batch(1, 5))
        encoder.last_layers(2, *random_batch(1, 5))
    assert asked == [False, False, True]
